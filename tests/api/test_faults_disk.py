"""Uploads while the disk is full: a coded answer that says whose fault it is, nothing half kept, and it works later."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from likeness.db import connected
from models.photo import Photo
from services.gateways.store_local import LocalStore
from tests.api import test_upload_photos, test_upload_training_archive
from tests.api.http_stage import code_of
from tests.api.http_stage import stage as http_stage
from tests.api.schema_stage import Stage
from tests.api.test_http_uploads import body, send
from tests.full_disk import NO_ROOM, CrampedWorkers, cramped, full_disk
from tests.photos import encoded, jpeg_bytes, noise, noisy_jpeg

BODIES = {
    "one large file": (b"x" * 1_000_000,),
    "the second file": (b"x" * 10, b"x" * 1_000_000),
    "a small file, written when it ends": (b"x" * 5000,),
}
PHOTOS = {
    "a JPEG of many pieces": noisy_jpeg(600, 600),
    "a JPEG of one piece": jpeg_bytes(),
    "a PNG": encoded(noise(530, 530, seed=1), "PNG"),
    "a JPEG that is turned": jpeg_bytes(orientation=6),
}


pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.parametrize("files", BODIES.values(), ids=BODIES.keys())
async def test_the_body_of_an_upload(tmp_path: Path, files: tuple[bytes, ...]) -> None:
    """507 with a sentence, what has arrived is removed, and later the same request is taken."""
    subject = http_stage(tmp_path)
    with full_disk(3000):
        response = await send(subject, body(*files))
    assert (507, "INTERNAL_SERVER_ERROR") == (response.status_code, code_of(response))
    [error] = response.json()["errors"]
    assert "The upload could not be stored on our side; please try again later." == error["message"]
    assert error["extensions"]["requestId"]
    assert 200 == (await send(subject, body(*files))).status_code


async def test_a_body_that_is_refused_on_a_full_disk(tmp_path: Path) -> None:
    """Its last bytes cannot be written when its file is closed: the refusal is told, and the file is gone."""
    with ExitStack() as disk:

        async def pieces() -> AsyncIterator[bytes]:
            yield body(b"")[: -len(b"\r\n--B--\r\n")]
            for size in (200_000, 61_000, 2_000):
                yield b"x" * size
            disk.enter_context(full_disk(3000))
            yield b"\r\n--Broken"

        response = await send(http_stage(tmp_path), pieces())
    assert (400, "BAD_USER_INPUT") == (response.status_code, code_of(response))


async def test_no_folder_for_an_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same when not even the folder can be made; a limit cannot do that, so the call is replaced."""

    def refuse(**options: Any) -> str:
        raise NO_ROOM

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    response = await send(http_stage(tmp_path), body(b"x"))
    assert (507, "INTERNAL_SERVER_ERROR") == (response.status_code, code_of(response))


@pytest.fixture
async def stage(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """The schema over a real folder of assets."""
    (tmp_path / "tmp").mkdir()
    store: Any = LocalStore(tmp_path / "assets", base_url="http://localhost", secret=b"s")
    with CrampedWorkers(max_workers=1) as workers:
        async with connected(sqlite_database_url):
            yield await Stage(folder=tmp_path / "tmp", workers=workers, store=store).open()


async def upload(stage: Stage, *photos: bytes) -> dict[str, Any]:
    """The payload of an upload, after which no temporary file is left."""
    files = [stage.file(content) for content in photos]
    payload = await test_upload_photos.upload(stage, *files)
    return emptied(stage, payload, *(file.path for file in files))


async def unpack(stage: Stage, content: bytes) -> dict[str, Any]:
    """The same of an archive."""
    file = stage.file(content, "a.zip")
    payload = await stage.ask(test_upload_training_archive.DOCUMENT, input={"archive": file})
    return emptied(stage, payload["uploadTrainingArchive"], file.path)


def emptied(stage: Stage, payload: dict[str, Any], *received: Path) -> dict[str, Any]:
    """Remove what the request brought; nothing else may take room there."""
    for path in received:
        path.unlink()
    assert 0 == sum(path.stat().st_size for path in stage.folder.iterdir())
    return payload


def kept(stage: Stage) -> list[Path]:
    """The files of the store, half ones too."""
    return [path for path in (stage.folder.parent / "assets").rglob("*") if path.is_file()]


def errors(payload: dict[str, Any]) -> list[tuple[str, str]]:
    """Code and message of what went wrong."""
    return [(error["code"], error["message"]) for error in payload["userErrors"]]


DOWN = [("PROVIDER_UNAVAILABLE", "The file storage does not work now; please try again.")]


@pytest.mark.parametrize("photo", PHOTOS.values(), ids=PHOTOS.keys())
@pytest.mark.parametrize("place", ["encoding", "storing"])
async def test_a_photo(stage: Stage, monkeypatch: pytest.MonkeyPatch, *, place: str, photo: bytes) -> None:
    """While it is encoded, or copied into the store: no row and no file, and the same upload is kept once later."""
    with monkeypatch.context() as patch:
        if place == "encoding":
            patch.setattr(stage.workers, "room", 2000)
        else:
            patch.setattr(LocalStore, "_copy_in", cramped(LocalStore._copy_in, room=2000))
        payload = await upload(stage, photo)
    assert ([], DOWN) == (payload["photos"], errors(payload))
    assert (0, []) == (await Photo.all().count(), kept(stage))
    payload = await upload(stage, photo)
    assert (1, []) == (len(payload["photos"]), errors(payload))
    assert [(await Photo.get()).bytes] == [path.stat().st_size for path in kept(stage)]


async def test_the_second_photo(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is whole and stays; sent again, both are there, and none is doubled."""
    small, large = jpeg_bytes(), noisy_jpeg(600, 600)
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "_copy_in", cramped(LocalStore._copy_in, room=100_000))
        assert DOWN == errors(await upload(stage, small, large))
    first = await Photo.get()
    assert [first.location] == [str(path.relative_to(stage.folder.parent / "assets")) for path in kept(stage)]
    payload = await upload(stage, small, large)
    assert (2, []) == (len(payload["photos"]), errors(payload))
    assert (2, 2) == (await Photo.all().count(), len(kept(stage)))
    assert first.id in {photo.id for photo in await Photo.all()}


async def test_an_archive(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is unpacked: the error is about the archive, and later it is taken."""
    content = test_upload_training_archive.archive(a=noisy_jpeg(600, 600), b=jpeg_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(stage.workers, "room", 100_000)
        payload = await unpack(stage, content)
    assert ([], DOWN) == (payload["photos"], errors(payload))
    assert ["input", "archive"] == payload["userErrors"][0]["path"]
    assert (0, []) == (await Photo.all().count(), kept(stage))
    assert 2 == len((await unpack(stage, content))["photos"])
