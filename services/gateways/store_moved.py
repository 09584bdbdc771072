"""Assets of an installation that moved to Cloudinary: new files go there, those of before stay in the local folder."""

import asyncio
from pathlib import Path

from models.status import ImageFormat
from services.gateways.cloudinary_asset import SEPARATOR
from services.gateways.store_cloudinary import CloudinaryStore
from services.gateways.store_local import LocalStore
from services.ports import AssetKind


class MovedStore:
    """Both stores as one: a location says by its form which of them holds the file."""

    def __init__(self, cloudinary: CloudinaryStore, local: LocalStore) -> None:
        self._cloudinary = cloudinary
        self._local = local

    async def put(self, source: Path, *, kind: AssetKind, name: str, content_type: str) -> str:
        """Keep a copy of `source` at Cloudinary; see `AssetStore.put`."""
        return await self._cloudinary.put(source, kind=kind, name=name, content_type=content_type)

    def url(self, location: str) -> str:
        """The address of a file: permanent for IMAGE, signed and expiring otherwise."""
        return self._holder(location).url(location)

    def variant(self, location: str, *, width: int | None, height: int | None, format: ImageFormat | None) -> str:
        """The address of a smaller copy; see `AssetStore.variant`."""
        return self._holder(location).variant(location, width=width, height=height, format=format)

    async def exists(self, location: str) -> bool:
        """Whether the file is there; see `AssetStore.exists`."""
        return await self._holder(location).exists(location)

    async def tidy(self) -> int:
        """Remove what can be made again and takes more room than it may; how many files went."""
        return sum(await asyncio.gather(self._cloudinary.tidy(), self._local.tidy()))

    async def fetch(self, location: str, to: Path) -> None:
        """Copy the file to `to`; see `AssetStore.fetch`."""
        await self._holder(location).fetch(location, to)

    async def delete(self, location: str) -> None:
        """Remove the file; deleting what is gone is not an error."""
        await self._holder(location).delete(location)

    async def forget(self, kind: AssetKind, name: str) -> None:
        """Remove what a `put` may have left, now or before the move; see `AssetStore.forget`."""
        await self._local.forget(kind, name)
        await self._cloudinary.forget(kind, name)

    async def healthy(self) -> bool:
        """Whether both can be used now."""
        return all(await asyncio.gather(self._cloudinary.healthy(), self._local.healthy()))

    async def close(self) -> None:
        """Close both."""
        await self._cloudinary.close()
        await self._local.close()

    def _holder(self, location: str) -> CloudinaryStore | LocalStore:
        return self._cloudinary if SEPARATOR in location else self._local
