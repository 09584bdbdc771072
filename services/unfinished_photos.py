"""Photos that were stored and whose row never came: process, store or database went away in between."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from models.photo import Photo
from services.ports import AssetKind, AssetStore, Clock

UNFINISHED_FOR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class UnfinishedPhotos:
    """Removes them: nobody could see or delete them.

    While a photo is taken in, the file that is stored lies in the temporary folder under the photo's id; an empty one
    stays there when the store did not answer.
    """

    store: AssetStore
    clock: Clock
    temp_dir: Path

    async def remove(self) -> int:
        """Remove those that nobody has worked on for an hour; how many there were."""
        before = (self.clock.now() - UNFINISHED_FOR).timestamp()
        files = await asyncio.to_thread(_older, self.temp_dir, before)
        return sum([await self._remove(file) for file in files])

    async def _remove(self, file: Path) -> bool:
        known = await Photo.exists(id=UUID(file.stem))
        if not known:
            await self.store.forget(AssetKind.PHOTO, file.name)
        await asyncio.to_thread(file.unlink, missing_ok=True)
        return not known


def _older(folder: Path, before: float) -> list[Path]:
    old = []
    for file in filter(is_unfinished, folder.iterdir()):
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < before:
                old.append(file)
    return old


def is_unfinished(file: Path) -> bool:
    """Whether it is the file of a photo that is, or was, being taken in."""
    try:
        return str(UUID(file.stem)) == file.stem and file.is_file()
    except ValueError:
        return False
