"""The database goes away within a request: a coded error, nothing charged, no row without its file; later it works."""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from likeness.http.masking import MASKED_MESSAGE
from likeness.http.query_limits import schema_extensions
from models.ledger import LedgerPosting, PostingKind
from models.lora import LoraModel
from models.photo import Photo
from models.training import Training
from schema.root import build_schema
from services.credits import Credits
from services.gateways.store_local import LocalStore
from tests.api import test_upload_photos
from tests.api.schema_stage import START, Stage
from tests.e2e.crashing.caller import until
from tests.lost_wire import COMMITTED, INSERTED, LosingWire, then
from tests.photos import jpeg_bytes
from tests.service.ledger import assert_sound

UPLOAD, PHOTO = test_upload_photos.DOCUMENT, jpeg_bytes()
OURS = [(MASKED_MESSAGE, "INTERNAL_SERVER_ERROR")]
MINUTE = timedelta(minutes=1)


pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
async def stage(wire: LosingWire, tmp_path: Path) -> AsyncIterator[Stage]:
    """The schema as it is served, over a real folder of assets."""
    (tmp_path / "tmp").mkdir()
    store: Any = LocalStore(tmp_path / "assets", base_url="http://localhost", secret=b"s")
    with ThreadPoolExecutor(max_workers=1) as workers:
        stage = Stage(folder=tmp_path / "tmp", workers=workers, store=store, schema=build_schema(schema_extensions()))
        yield await stage.open()


async def refused(stage: Stage, document: str, input: dict[str, Any]) -> list[tuple[str, Any]]:
    """Message and code of what went wrong with a mutation that gave nothing."""
    result = await stage.schema.execute(document, {"input": input}, context_value=stage.context())
    assert [None] == list((result.data or {}).values())
    return [(error.message, (error.extensions or {})["code"]) for error in result.errors or ()]


def photo(stage: Stage) -> dict[str, Any]:
    """The input of an upload."""
    return {"photos": [stage.file(PHOTO)]}


async def uploaded(stage: Stage) -> str:
    """The id of the photo, uploaded without an error."""
    payload = await test_upload_photos.upload(stage, stage.file(PHOTO))
    assert [] == payload["userErrors"]
    return str(payload["photos"][0]["id"])


def files(stage: Stage) -> list[str]:
    """Where the files of the store lie."""
    assets = stage.folder.parent / "assets"
    return [str(path.relative_to(assets)) for path in assets.rglob("*") if path.is_file()]


async def rows() -> list[str]:
    """Where the rows say that the files lie."""
    return [photo.location for photo in await Photo.all()]


async def swept(stage: Stage) -> list[int]:
    """How many files without a row the sweep finds after 59 minutes, after 61, and once more."""
    found = []
    for age in (59 * MINUTE, 61 * MINUTE, 62 * MINUTE):
        moment = (stage.clock.now() - age).timestamp()
        for path in stage.folder.glob("*.jpg"):
            os.utime(path, (moment, moment))
        found.append(await stage.assembly.upkeep.unfinished_photos.remove())
    assert [] == list(stage.folder.glob("*.jpg"))
    return found


async def test_an_upload_without_a_database(stage: Stage, wire: LosingWire) -> None:
    """A coded error, nothing stored; with the database back, the same upload works."""
    await wire.cut()
    assert OURS == await refused(stage, UPLOAD, photo(stage))
    await wire.mend()
    assert ([], []) == (files(stage), await rows())
    await uploaded(stage)
    assert files(stage) == await rows() != []


async def test_an_upload_cut_before_its_row(stage: Stage, wire: LosingWire, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is stored and its row is not: sent again there is one row, and a sweep removes the file without one."""
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "put", then(LocalStore.put, wire.cut))
        assert OURS == await refused(stage, UPLOAD, photo(stage))
    await wire.mend()
    assert [] == await rows()
    await uploaded(stage)
    assert [0, 1, 0] == await swept(stage)
    assert files(stage) == await rows() != []


async def test_an_upload_whose_commit_is_not_answered(stage: Stage, wire: LosingWire) -> None:
    """There is a row and nobody was told: its file stays, and sent again it is the same photo."""
    wire.lose = COMMITTED
    assert OURS == await refused(stage, UPLOAD, photo(stage))
    assert [0, 0, 0] == await swept(stage)
    assert files(stage) == await rows() != []
    await uploaded(stage)
    assert files(stage) == await rows() != []


@pytest.mark.parametrize("answer", [INSERTED, COMMITTED], ids=["row", "commit"])
async def test_an_upload_cancelled_while_its_row_is_written(stage: Stage, wire: LosingWire, answer: bytes) -> None:
    """As when the server stops: row and file are both there."""
    wire.hold = answer
    upload = asyncio.create_task(refused(stage, UPLOAD, photo(stage)))
    await asyncio.wait_for(wire.held.wait(), 10)
    upload.cancel()
    wire.let_go.set()
    with suppress(asyncio.CancelledError):
        await upload
    assert files(stage) == await until(rows, seconds=10)
    assert [0, 0, 0] == await swept(stage)
    assert files(stage) == await rows()


@pytest.mark.parametrize("moment", ["before", "reserved"])
async def test_a_start_without_a_database(
    stage: Stage, wire: LosingWire, monkeypatch: pytest.MonkeyPatch, *, moment: str
) -> None:
    """A coded error, nothing charged and nothing submitted; asked again with the same key, it starts once."""
    wanted = {"modelName": "Me", "photoIds": await stage.photo_ids(), "idempotencyKey": "k"}
    with monkeypatch.context() as patch:
        if moment == "before":
            await wire.cut()
        else:
            patch.setattr(Credits, "reserve", then(Credits.reserve, wire.cut))
        assert OURS == await refused(stage, START, wanted)
    await wire.mend()
    assert [0, 0, 0] == [await model.all().count() for model in (Training, LoraModel, LedgerPosting)]
    assert ([], []) == (stage.jobs.enqueued, stage.provider.submitted)
    await started_once(stage, wanted)


async def test_a_start_whose_commit_is_not_answered(stage: Stage, wire: LosingWire) -> None:
    """It was accepted and nobody was told: a sweep enqueues it, and the same key gives the same training."""
    wanted = {"modelName": "Me", "photoIds": await stage.photo_ids(), "idempotencyKey": "k"}
    wire.lose = COMMITTED
    assert OURS == await refused(stage, START, wanted)
    assert ([], []) == (stage.jobs.enqueued, stage.provider.submitted)
    stage.clock.time += MINUTE
    assert 1 == await stage.assembly.housekeeping.enqueue_forgotten()
    await started_once(stage, wanted)


async def started_once(stage: Stage, wanted: dict[str, Any]) -> None:
    """Asked again, there is one training, whose run was asked for and whose price was reserved once."""
    assert [] == (await stage.ask(START, input=wanted))["startTraining"]["userErrors"]
    training = await Training.get()
    assert [("training", training.id)] == stage.jobs.enqueued
    assert [PostingKind.RESERVE] == [posting.kind for posting in await LedgerPosting.filter(job_id=training.id)]
    assert 20 == (await stage.credits.quota(stage.me.id)).daily_used
    await assert_sound(stage.me.id)
