"""What an upload whose process died has left: its copy goes, whatever the store does meanwhile, and no other."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.errors import StorageDown
from models.ids import new_id
from services.ports import AssetKind, StoreKeyRefused, StoreUnavailable
from services.uploads import UploadedFile
from tests.photos import jpeg_bytes
from tests.service import rows
from tests.service.process import Process, on_sqlite

HOUR = timedelta(hours=1)


@pytest.fixture
async def process(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    """A process that was just started."""
    (tmp_path / "tmp").mkdir()
    async with on_sqlite(sqlite_database_url, tmp_path / "tmp") as process:
        yield process


async def left(process: Process, *, age: timedelta, stored: bool = True) -> Path:
    """The file of a photo that a process took in this long ago, and perhaps a copy of it in the store."""
    file = process.folder / f"{new_id()}.jpg"
    file.write_bytes(b"pixels")
    if stored:
        await process.store.put(file, kind=AssetKind.PHOTO, name=file.name, content_type="image/jpeg")
    aged(file, process.clock.now() - age)
    return file


def aged(file: Path, since: datetime) -> None:
    """Nobody has worked on it since."""
    os.utime(file, (since.timestamp(), since.timestamp()))


def raising(error: Exception) -> Callable[..., Awaitable[str]]:
    """A call that fails."""

    async def call(*args: Any, **options: Any) -> str:
        raise error

    return call


@pytest.mark.parametrize("stored", [True, False])
async def test_a_photo_without_a_row(process: Process, *, stored: bool) -> None:
    """After an hour the file and its copy, if there is one, are removed; a younger one may be in work."""
    await process.photo(await process.user())
    kept = dict(process.store.files)
    young = await left(process, age=HOUR / 2, stored=False)
    await left(process, age=2 * HOUR, stored=stored)
    sweep = process.assembly.upkeep.unfinished_photos
    assert [1, 0] == [await sweep.remove() for _ in range(2)]
    assert (kept, [young]) == (process.store.files, list(process.folder.iterdir()))


async def test_a_photo_with_a_row(process: Process) -> None:
    """Its process died after the row: the copy is the photo's, and only the temporary file goes."""
    file = await left(process, age=2 * HOUR)
    await rows.photo((await process.user()).id, id=file.stem)
    assert 0 == await process.assembly.upkeep.unfinished_photos.remove()
    assert ([b"pixels"], []) == (list(process.store.files.values()), list(process.folder.iterdir()))


@pytest.mark.parametrize("trouble", [StoreUnavailable("away"), StoreKeyRefused("key")], ids=repr)
async def test_the_store_is_in_trouble(
    process: Process, monkeypatch: pytest.MonkeyPatch, *, trouble: Exception
) -> None:
    """The file is kept, by every other sweep too, until the store has removed its copy."""
    await left(process, age=30 * HOUR)
    sweep = process.assembly.upkeep.unfinished_photos
    with monkeypatch.context() as patch:
        patch.setattr(process.store, "forget", raising(trouble))
        with pytest.raises(type(trouble)):
            await sweep.remove()
    assert 0 == await process.assembly.housekeeping.remove_temporary()
    assert 1 == await sweep.remove()
    assert ({}, []) == (process.store.files, list(process.folder.iterdir()))


async def test_the_stores_answer_is_lost(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused with a code; the copy that nobody knows of is removed after an hour, and no pixels wait here for that."""
    file, put = process.folder / "received", process.store.put
    file.write_bytes(jpeg_bytes())
    received = UploadedFile(path=file, filename="a.jpg", content_type="image/jpeg", bytes=1000)

    async def stored_in_silence(*args: Any, **options: Any) -> str:
        await put(*args, **options)
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(process.store, "put", stored_in_silence)
    with pytest.raises(StorageDown):
        await process.assembly.photos.upload((await process.user()).id, [received])
    file.unlink()
    (name,) = process.folder.iterdir()
    assert (1, 0) == (len(process.store.files), name.stat().st_size)
    aged(name, process.clock.now() - 2 * HOUR)
    assert 1 == await process.assembly.upkeep.unfinished_photos.remove()
    assert ({}, []) == (process.store.files, list(process.folder.iterdir()))
