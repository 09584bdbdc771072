"""The end of a training: the result is read, the weights are checked and kept, and only then is it COMPLETED."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import stamina
import structlog

from models.errors import (
    LikenessError,
    ProviderUnavailable,
    ResultUnusable,
    StorageDown,
    StorageRefused,
    WeightsIncomplete,
)
from models.status import TrainingStage, TrainingStatus
from models.submission import Submission, SubmissionState
from models.training import Training
from services.patience import once_paid
from services.ports import AssetKind, AssetStore, Download, Provider, StoreKeyRefused, StoreRefused, StoreUnavailable
from services.submissions import accepted_job, close
from services.text import is_plain
from services.trainers import trainer_for
from services.training_journal import TrainingJournal

LARGEST_WEIGHTS = 2 * 1024**3  # bytes
LARGEST_CONFIG = 1024**2
LARGEST_HEADER = 100 * 1024**2
LONGEST_URL = 2000  # characters, as its column
STORAGE_AWAY = "The storage does not take the model yet; it is tried again until it does"
FINALIZING = "Finalizing advanced character identity..."

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class TrainingFinish:
    """Turns the provider's result into a model of ours."""

    store: AssetStore
    provider: Provider
    workers: Executor
    temp_dir: Path
    journal: TrainingJournal

    async def complete(self, id: UUID) -> None:
        """Keep the weights and the config, then complete in one transaction; of a cancelled training nothing is kept.

        Raises `ProviderRejected` for the model's own error, `ResultUnusable` for a result without sound weights.
        """
        await self.journal.progress(id, stage=TrainingStage.FINALIZING, message=FINALIZING)
        training = await Training.get(id=id)
        if training.status in {TrainingStatus.COMPLETED, TrainingStatus.CANCELLED}:
            return
        job = accepted_job(await Submission.get(job_id=id))
        if job is None:
            raise ResultUnusable(reason="the provider's job is not known.")
        result = await once_paid(ProviderUnavailable, self.provider.result, job)
        columns = await self._keep(training, result)
        if await self.journal.complete(id, model=columns) is None:
            await self._forget(training)
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
                "weights_location": await self._put(training, weights, weights_name(training.model_id)),
                "weights_sha256": weights.sha256,
                "weights_bytes": weights.bytes,
                "provider_weights_url": weights_url,
                "provider_config_url": config_url,
            }
            if config_url:
                columns["config_location"] = await self._keep_config(training, config_url, folder / "config")
            return columns
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _keep_config(self, training: Training, url: str, to: Path) -> str | None:
        """The location of our copy of the config, or None: a model can be used without it."""
        try:
            config = await self._fetch(url, to, LARGEST_CONFIG)
            return await self._put(training, config, config_name(training.model_id))
        except LikenessError as error:
            _log.warning("training.config_not_kept", training=str(training.id), reason=str(error))
            return None

    # Bounded by tries: one try of a large file may take a quarter of an hour.
    @stamina.retry(on=WeightsIncomplete, attempts=4, timeout=None)
    async def _fetch_weights(self, url: str, to: Path) -> Download:
        """Fetch until the file is whole: a cut one is fetched again."""
        weights = await self._fetch(url, to, LARGEST_WEIGHTS)
        await asyncio.get_running_loop().run_in_executor(self.workers, check_safetensors, weights.path)
        return weights

    async def _fetch(self, url: str, to: Path, limit: int) -> Download:
        return await once_paid(ProviderUnavailable, self.provider.download, url, to, limit=limit)

    async def _put(self, training: Training, file: Download, name: str) -> str:
        """Try until the store takes it."""
        return await once_paid(StorageDown, self._put_once, training, file, name)

    async def _put_once(self, training: Training, file: Download, name: str) -> str:
        try:
            return await self.store.put(file.path, kind=AssetKind.WEIGHTS, name=name, content_type=file.content_type)
        except (StoreUnavailable, StoreKeyRefused) as error:
            _log.warning("training.not_kept_yet", training=str(training.id), reason=str(error))
            if (await self.journal.latest(training.id)).message != STORAGE_AWAY:
                await self._say(training.id, 0.5, STORAGE_AWAY)
            raise StorageDown from error
        except StoreRefused as error:
            raise StorageRefused from error

    async def _forget(self, training: Training) -> None:
        """Remove what was kept of a cancelled training; one that another execution has completed keeps its files."""
        await once_paid(StoreUnavailable, self._forget_once, training)

    async def _forget_once(self, training: Training) -> None:
        if await Training.exists(id=training.id, status=TrainingStatus.CANCELLED):
            for name in (weights_name(training.model_id), config_name(training.model_id)):
                await self.store.forget(AssetKind.WEIGHTS, name)

    async def _say(self, id: UUID, fraction: float, message: str) -> None:
        await self.journal.progress(id, stage=TrainingStage.FINALIZING, fraction=fraction, message=message)


def weights_name(model: UUID) -> str:
    """The name under which the weights of a model are kept."""
    return f"{model}.safetensors"


def config_name(model: UUID) -> str:
    """The name under which the config of a model is kept."""
    return f"{model}.json"


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
        raise WeightsIncomplete(reason=f"the weights are incomplete ({size} bytes).")


def _file_url(result: Mapping[str, Any], name: str) -> str | None:
    file = result.get(name)
    url = file.get("url") if isinstance(file, Mapping) else None
    return url if isinstance(url, str) and is_plain(url, longest=LONGEST_URL) else None
