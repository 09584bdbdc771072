"""The end of a training: the result is read, the weights are checked and kept, and only then is it COMPLETED."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import stamina

from models.errors import ProviderUnavailable, ResultUnusable, StorageDown, WeightsIncomplete
from models.status import TrainingStage, TrainingStatus
from models.submission import Submission, SubmissionState
from models.training import Training
from services.ports import AssetKind, AssetStore, Download, Provider, StoreUnavailable
from services.submissions import accepted_job, close
from services.trainers import trainer_for
from services.training_journal import TrainingJournal

LARGEST_WEIGHTS = 2 * 1024**3  # bytes
LARGEST_CONFIG = 1024**2
LARGEST_HEADER = 100 * 1024**2
FINALIZING = "Finalizing advanced character identity..."


@dataclass(frozen=True, kw_only=True)
class TrainingFinish:
    """Turns the provider's result into a model of ours."""

    store: AssetStore
    provider: Provider
    workers: Executor
    temp_dir: Path
    journal: TrainingJournal

    async def complete(self, id: UUID) -> None:
        """Keep the weights and the config, then complete in one transaction.

        Raises `ProviderRejected` for the model's own error, `ResultUnusable` for a result without sound weights.
        """
        training = await Training.get(id=id)
        if training.status in {TrainingStatus.COMPLETED, TrainingStatus.CANCELLED}:
            return
        await self.journal.progress(id, stage=TrainingStage.FINALIZING, message=FINALIZING)
        job = accepted_job(await Submission.get(job_id=id))
        if job is None:
            raise ResultUnusable(reason="the provider's job is not known.")
        result = await self._patiently(partial(self.provider.result, job))
        columns = await self._keep(training, result)
        await self.journal.complete(id, model=columns)
        await close(id, SubmissionState.DONE)

    async def _keep(self, training: Training, result: Mapping[str, Any]) -> dict[str, Any]:
        weights_url = _file_url(result, trainer_for(training.base_model).weights)
        if weights_url is None:
            raise ResultUnusable(reason="it names no weights file.")
        config_url = _file_url(result, "config_file")
        folder = self.temp_dir / f"weights-{training.id}"
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        try:
            weights = await self._fetch_weights(weights_url, folder / "weights")
            await self._say(training.id, 0.5, f"Weights received ({weights.bytes / 1e3:,.0f} kB)")
            columns = {
                "weights_location": await self._put(weights, f"{training.model_id}.safetensors"),
                "weights_sha256": weights.sha256,
                "weights_bytes": weights.bytes,
                "provider_weights_url": weights_url,
                "provider_config_url": config_url,
            }
            if config_url:
                config = await self._fetch(config_url, folder / "config", LARGEST_CONFIG)
                columns["config_location"] = await self._put(config, f"{training.model_id}.json")
            return columns
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    @stamina.retry(on=WeightsIncomplete, attempts=4)
    async def _fetch_weights(self, url: str, to: Path) -> Download:
        """Fetch until the file is whole: a cut one is fetched again."""
        weights = await self._fetch(url, to, LARGEST_WEIGHTS)
        await asyncio.get_running_loop().run_in_executor(self.workers, check_safetensors, weights.path)
        return weights

    async def _fetch(self, url: str, to: Path, limit: int) -> Download:
        download: Download = await self._patiently(partial(self.provider.download, url, to, limit=limit))
        return download

    @stamina.retry(on=ProviderUnavailable, attempts=8, timeout=600, wait_max=60)
    async def _patiently(self, call: "partial[Any]") -> Any:
        return await call()

    @stamina.retry(on=StorageDown, attempts=8, timeout=600, wait_max=60)
    async def _put(self, file: Download, name: str) -> str:
        try:
            return await self.store.put(file.path, kind=AssetKind.WEIGHTS, name=name, content_type=file.content_type)
        except StoreUnavailable as error:
            raise StorageDown from error

    async def _say(self, id: UUID, fraction: float, message: str) -> None:
        await self.journal.progress(id, stage=TrainingStage.FINALIZING, fraction=fraction, message=message)


def check_safetensors(path: Path) -> None:
    """Raise `ResultUnusable` unless the header is sound, `WeightsIncomplete` unless the file is as long as it says.

    The format: 8 bytes little-endian header length N, N bytes of JSON, then the tensors, whose last `data_offsets`
    end is the length of the rest (https://huggingface.co/docs/safetensors).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size >= 8 and not 2 <= length <= LARGEST_HEADER:
            raise ResultUnusable(reason="the weights are not a safetensors file.")
        if size < 8 + length:
            raise WeightsIncomplete(reason=f"the weights are incomplete ({size} bytes).")
        try:
            header = json.loads(file.read(length))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
            whole = 8 + length + max(ends)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ResultUnusable(reason="the weights have no readable safetensors header.") from error
    if whole != size:
        raise WeightsIncomplete(reason=f"the weights are incomplete ({size} of {whole} bytes).")


def _file_url(result: Mapping[str, Any], name: str) -> str | None:
    file = result.get(name)
    url = file.get("url") if isinstance(file, Mapping) else None
    return url if isinstance(url, str) and url else None
