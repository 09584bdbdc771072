"""Photos: taken in, checked one by one, kept once per owner."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import structlog
from tortoise.exceptions import IntegrityError, OperationalError

from models.errors import (
    ArchiveRejected,
    ErrorCode,
    InvalidInput,
    LikenessError,
    NotFound,
    PhotoRejected,
    StorageDown,
    TooManyFiles,
)
from models.ids import new_id
from models.photo import Photo
from services import archives, images
from services.paging import Page, page
from services.ports import AssetKind, AssetStore, Clock, StoreRefused, StoreUnavailable
from services.unit_of_work import transactional
from services.uploads import UploadedFile

T = TypeVar("T")
ARCHIVE_ENTRIES = 200

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What became of an upload: photos kept (one per accepted file, in order) and photos refused."""

    photos: list[Photo]
    rejected: list[LikenessError]


@dataclass(frozen=True, kw_only=True)
class PhotoService:
    """Uploads and lists photos. Image work runs on `workers`, never on the event loop."""

    store: AssetStore
    clock: Clock
    workers: Executor
    rules: images.PhotoRules
    max_photos: int
    temp_dir: Path

    async def upload(self, owner: UUID, files: Sequence[UploadedFile]) -> Intake:
        """Check and keep photos; good ones are kept when others are refused.

        Raises `TooManyFiles`, `InvalidInput` for none at all, and `StorageDown`.
        """
        if len(files) > self.max_photos:
            raise TooManyFiles(have=len(files), limit=self.max_photos, path=("input", "photos"))
        if not files:
            raise InvalidInput(reason="Send at least one photo.", path=("input", "photos"))
        intake = Intake(photos=[], rejected=[])
        for index, file in enumerate(files):
            await self._take(owner, file, index, intake)
        _log.info("photos.uploaded", kept=len(intake.photos), rejected=len(intake.rejected))
        return intake

    async def upload_archive(self, owner: UUID, archive: UploadedFile) -> Intake:
        """Take the photos of a ZIP through the same checks as single ones.

        Raises `ArchiveRejected`, `TooManyFiles` and what `upload` raises.
        """
        if archive.too_large:
            raise ArchiveRejected(reason="it is too large.", path=("input", "archive"))
        folder = Path(await self._work(partial(tempfile.mkdtemp, dir=self.temp_dir)))
        try:
            intake = await self.upload(owner, await self._unpacked(archive, folder))
        except LikenessError as error:
            error.path = ("input", "archive")
            raise
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        for rejection in intake.rejected:
            rejection.path = ("input", "archive")
        return intake

    async def browse(self, owner: UUID, *, first: int | None, after: str | None) -> Page[Photo]:
        """A user's photos, newest first."""
        return await page(Photo.filter(owner_id=owner, deleted_at=None), list_name="photos", first=first, after=after)

    async def get(self, owner: UUID, id: UUID) -> Photo | None:
        """One of a user's own photos."""
        return await Photo.get_or_none(id=id, owner_id=owner, deleted_at=None)

    async def own(self, owner: UUID, ids: Sequence[UUID]) -> list[Photo]:
        """The user's photos with these ids, in order. Raises `NotFound` naming the first that is not there."""
        found = {photo.id: photo for photo in await Photo.filter(owner_id=owner, id__in=ids, deleted_at=None)}
        for index, id in enumerate(ids):
            if id not in found:
                raise NotFound(what="photo", path=("input", "photoIds", str(index)))
        return [found[id] for id in ids]

    def url(self, photo: Photo) -> str:
        """Where the owner can see the photo, for a while."""
        return self.store.url(photo.location)

    async def _unpacked(self, archive: UploadedFile, folder: Path) -> list[UploadedFile]:
        """The files of a ZIP, none of them larger than a photo may be (and one byte, by which it shows)."""
        largest = self.rules.max_bytes + 1
        unpack = partial(
            archives.unpack,
            archive.path,
            folder,
            max_entries=ARCHIVE_ENTRIES,
            max_entry_bytes=largest,
            max_total_bytes=self.max_photos * largest,
        )
        files = []
        for entry in await self._work(unpack):
            size = entry.path.stat().st_size
            file = UploadedFile(
                path=entry.path, filename=entry.name, content_type=None, bytes=size, too_large=size >= largest
            )
            files.append(file)
        return files

    async def _take(self, owner: UUID, file: UploadedFile, index: int, intake: Intake) -> None:
        try:
            intake.photos.append(await self._keep(owner, file))
        except PhotoRejected as rejection:
            intake.rejected.append(
                PhotoRejected(code=rejection.code, reason=rejection.reason, index=index, filename=file.filename)
            )

    async def _keep(self, owner: UUID, file: UploadedFile) -> Photo:
        if file.too_large:
            limit = self.rules.max_bytes
            raise PhotoRejected(code=ErrorCode.FILE_TOO_LARGE, reason=f"The file is larger than {limit} bytes.")
        source = await self._work(partial(images.file_sha256, file.path))
        if known := await Photo.get_or_none(owner_id=owner, source_sha256=source):
            return known
        id = new_id()
        normal = await self._work(partial(images.normalise, file.path, self.temp_dir / str(id), rules=self.rules))
        photo = await self._store(owner, id, file, normal)
        await asyncio.to_thread(normal.path.unlink, missing_ok=True)
        return photo

    async def _store(self, owner: UUID, id: UUID, file: UploadedFile, normal: images.NormalPhoto) -> Photo:
        """Put the file, then its row.

        `normal` stays when nobody knows whether there is a row now: `UnfinishedPhotos` looks later.
        """
        photo = Photo(
            id=id, owner_id=owner, filename=(file.filename or "photo")[:255], location=await self._put(normal),
            content_type=normal.content_type, bytes=normal.bytes, width=normal.width, height=normal.height,
            sha256=normal.sha256, source_sha256=normal.source_sha256, created_at=self.clock.now(),
        )  # fmt: skip
        try:
            await _write(photo)
        except OperationalError as error:
            # The database has answered: there is no row.
            await self.store.delete(photo.location)
            await asyncio.to_thread(normal.path.unlink, missing_ok=True)
            if isinstance(error, IntegrityError):
                return await Photo.get(owner_id=owner, source_sha256=normal.source_sha256)
            raise
        return photo

    async def _put(self, normal: images.NormalPhoto) -> str:
        try:
            return await self.store.put(
                normal.path, kind=AssetKind.PHOTO, name=normal.path.name, content_type=normal.content_type
            )
        except (StoreUnavailable, StoreRefused) as error:
            # An answer that was lost may have left a copy: the name stays, for `UnfinishedPhotos`, and the pixels go.
            lost = isinstance(error, StoreUnavailable)
            await asyncio.to_thread(partial(os.truncate, normal.path, 0) if lost else normal.path.unlink)
            _log.error("photos.store_failed", reason=str(error))
            raise StorageDown from error

    async def _work(self, call: "partial[T]") -> T:
        """Work on files. Raises `StorageDown` when the disk is full, or does not work otherwise."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self.workers, call)
        except OSError as error:
            _log.error("photos.disk_failed", reason=str(error))
            raise StorageDown from error


@transactional
async def _write(photo: Photo) -> None:
    """Shielded: a row that is half written when its caller is cancelled is written all the same."""
    await photo.save(force_create=True)
