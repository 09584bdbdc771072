"""A trained model's weights at the provider: its copy may expire, ours does not, and is handed over again."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from models.errors import ProviderRejected, ProviderUnavailable, ResultUnusable, StorageDown
from models.ids import new_id
from models.lora import LoraModel
from services.patience import while_unpaid
from services.ports import AssetMissing, AssetStore, Provider, StoreUnavailable

KIND = "application/octet-stream"
LIFE = timedelta(days=7)  # of the copy that the provider is given

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Gives the provider our copy when it has lost its own."""

    store: AssetStore
    provider: Provider
    temp_dir: Path

    async def hand_over(self, model: LoraModel, *, instead_of: str) -> None:
        """Upload our copy and save its address in `provider_weights_url`, also of the row that was given.

        `instead_of` holds the address that was lost: nothing is uploaded when the row has another one already. Raises
        `ResultUnusable` when our copy is missing, `StorageDown` and `ProviderUnavailable` when it may work later.
        """
        await model.refresh_from_db()
        if (model.provider_weights_url or "") not in instead_of:
            return
        if model.weights_location is None:
            raise ResultUnusable(reason="the model has no weights.")
        async with self._folder() as folder:
            # The provider reads the kind of file from its name.
            file = folder / f"{model.id}.safetensors"
            await while_unpaid(StorageDown, self._fetch, model.weights_location, file)
            model.provider_weights_url = await while_unpaid(
                ProviderUnavailable, self.provider.upload, file, content_type=KIND, expires_in=LIFE
            )
        await model.save(update_fields=["provider_weights_url"])
        _log.info("weights.handed_over", model=str(model.id))

    async def _fetch(self, location: str, to: Path) -> None:
        try:
            await self.store.fetch(location, to)
        except StoreUnavailable as error:
            raise StorageDown from error
        except AssetMissing as error:
            raise ResultUnusable(reason="the model's weights are missing.") from error

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[Path]:
        folder = self.temp_dir / f"handover-{new_id()}"
        await asyncio.to_thread(folder.mkdir, parents=True)
        try:
            yield folder
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def weights_are_gone(failure: ProviderRejected) -> bool:
    """Whether a generator could not load the weights it was given (fal.ai/docs/errors: `file_download_error`)."""
    return failure.facts.get("type") == "file_download_error" or "loras" in str(failure.facts.get("reason"))
