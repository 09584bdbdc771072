"""A photo to be redrawn, on its way to the provider: uploaded to its storage, where it dies by itself within a day.

The provider is never given an address of ours: a signed one would stay in its list of requests.
"""

import asyncio
import mimetypes
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from models.errors import ProviderUnavailable, ResultUnusable, StorageDown
from models.ids import new_id
from models.photo import Photo
from services.patience import while_unpaid
from services.ports import AssetMissing, AssetStore, Provider, StoreUnavailable

LIFE = timedelta(days=1)  # of the provider's copy


@dataclass(frozen=True, kw_only=True)
class SourcePhotos:
    """Gives the provider our copy of a photo."""

    store: AssetStore
    provider: Provider
    temp_dir: Path

    async def hand_over(self, id: UUID) -> str:
        """Upload a photo and return its address at the provider.

        Raises `ResultUnusable` when our copy is missing, `StorageDown` and `ProviderUnavailable` when it may work
        later.
        """
        photo = await Photo.get(id=id)
        folder = self.temp_dir / f"source-{new_id()}"
        await asyncio.to_thread(folder.mkdir, parents=True)
        try:
            file = folder / f"photo{mimetypes.guess_extension(photo.content_type) or '.jpg'}"
            await while_unpaid(StorageDown, self._fetch, photo.location, file)
            return await while_unpaid(
                ProviderUnavailable, self.provider.upload, file, content_type=photo.content_type, expires_in=LIFE
            )
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _fetch(self, location: str, to: Path) -> None:
        try:
            await self.store.fetch(location, to)
        except StoreUnavailable as error:
            raise StorageDown from error
        except AssetMissing as error:
            raise ResultUnusable(reason="the photo is missing.") from error
