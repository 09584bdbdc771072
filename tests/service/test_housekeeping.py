"""Sweeps: each does what is due and nothing else, twice is like once, and one that fails stops no other."""

import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from models.ids import new_id
from models.inbox import InboxMessage
from models.ledger import PostingKind
from models.photo import TrainingArchive
from models.status import GenerationStatus, TrainingStage, TrainingStatus
from models.submission import SubmissionState
from models.training import Training
from models.user import User
from services import housekeeping
from services.gateways.store_local import INCOMING, LocalStore
from services.housekeeping import Housekeeping
from services.ports import AssetKind
from tests.fakes import NOON
from tests.service import rows
from tests.service.ledger import assert_sound
from tests.service.process import DAILY, Process, on_sqlite, postings

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def process(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    """A process of its own."""
    (tmp_path / "tmp").mkdir()
    async with on_sqlite(sqlite_database_url, tmp_path / "tmp") as process:
        yield process


@pytest.fixture
async def owner(process: Process) -> User:
    """Whose things are swept."""
    return await process.user()


@pytest.fixture
def sweeps(process: Process) -> Housekeeping:
    """The sweeps under test."""
    return process.assembly.housekeeping


async def test_forgotten_jobs_are_enqueued(process: Process, owner: User, sweeps: Housekeeping) -> None:
    """PENDING ones older than 10 seconds, whose enqueue may have died; again and again, as that is harmless."""
    process.jobs.broken = True
    training, generation = await process.training(owner), await process.generation(owner)
    process.jobs.broken = False
    process.clock.time += 9 * SECOND
    assert 0 == await sweeps.enqueue_forgotten()
    process.clock.time += 2 * SECOND
    await process.training(owner)
    await rows.training(owner.id, status=TrainingStatus.FAILED)
    process.jobs.enqueued.clear()
    for _ in range(2):
        assert 2 == await sweeps.enqueue_forgotten()
        assert [("training", training.id), ("generation", generation.id)] == process.jobs.enqueued[-2:]


async def test_more_jobs_than_a_page(
    process: Process, owner: User, sweeps: Housekeeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait in the queue, none is overlooked."""
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    ids = [(await rows.generation(owner.id)).id for _ in range(5)]
    process.clock.time += HOUR
    assert 5 == await sweeps.enqueue_forgotten()
    assert ids == [id for _, id in process.jobs.enqueued]


async def test_forgotten_cancels_are_enqueued(process: Process, owner: User, sweeps: Housekeeping) -> None:
    """A cancel whose process died before the provider was told; not one without a call, and not for ever."""
    training, early = await process.submitted(owner), await process.training(owner)
    process.jobs.broken = True
    for id in (training.id, early.id):
        await process.assembly.services.training_changes.cancel(owner.id, id)
    process.jobs.broken = False
    process.jobs.enqueued.clear()
    assert 0 == await sweeps.enqueue_cancels()
    process.clock.time += 11 * SECOND
    assert [1, 1] == [await sweeps.enqueue_cancels() for _ in range(2)]
    assert {("cancel", training.id)} == set(process.jobs.enqueued)
    process.clock.time += HOUR
    assert 0 == await sweeps.enqueue_cancels()


async def test_lost_calls_are_found(process: Process, owner: User, sweeps: Housekeeping) -> None:
    """What was given up as lost and shows in the provider's list is finished late; others stay lost.

    It is asked for until it is finished, in case a process dies between finding it and asking.
    """
    training = await process.failed(owner)
    needle = f"https://provider.example/{new_id()}"
    lost: dict[str, Any] = {"state": SubmissionState.FAILED, "lost": True}
    await rows.submission(training.id, endpoint="e", needle=needle, **lost)
    await rows.submission(new_id(), endpoint="e", needle="never sent", **lost)
    await rows.submission(new_id(), endpoint="e", needle=needle, state=SubmissionState.FAILED)
    await rows.submission(new_id(), endpoint="e", needle=needle, created_at=NOON - DAY - SECOND, **lost)
    assert 0 == await sweeps.find_lost()
    await process.provider.submit("e", {"images_data_url": needle})
    process.jobs.enqueued.clear()
    assert [1, 1] == [await sweeps.find_lost() for _ in range(2)]
    assert [("rescue", training.id)] * 2 == process.jobs.enqueued
    await process.assembly.runs["rescue"].give_up(training.id, ValueError("no result"))
    assert 0 == await sweeps.find_lost()


async def test_forgotten_reserves_are_refunded(process: Process, owner: User, sweeps: Housekeeping) -> None:
    """An open reserve of a job that failed, or of none, goes back once; the rest are left alone."""
    failed, nobody = await rows.training(owner.id, status=TrainingStatus.FAILED), new_id()
    drawn = await rows.generation(owner.id, status=GenerationStatus.CANCELLED)
    for job in (failed.id, drawn.id, nobody):
        await process.assembly.credits.reserve(owner.id, job, 5)
    assert 0 == await sweeps.refund_forgotten()
    process.clock.time += 11 * SECOND
    assert [3, 0] == [await sweeps.refund_forgotten() for _ in range(2)]
    assert [[PostingKind.RESERVE, PostingKind.REFUND]] * 3 == [
        await postings(job) for job in (failed.id, drawn.id, nobody)
    ]
    assert DAILY == await process.spendable(owner)
    await assert_sound(owner.id)


async def test_reserves_of_living_jobs_stay(
    process: Process, owner: User, sweeps: Housekeeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their age, and they do not hide a forgotten one behind them."""
    monkeypatch.setattr(housekeeping, "BATCH", 1)
    await process.training(owner)
    await process.submitted(owner)
    for status in GenerationStatus.PENDING, GenerationStatus.PROCESSING:
        row = await rows.generation(owner.id, status=status)
        await process.assembly.credits.reserve(owner.id, row.id, 1)
    forgotten = new_id()
    await process.assembly.credits.reserve(owner.id, forgotten, 1)
    process.clock.time += 30 * DAY
    assert [1, 0] == [await sweeps.refund_forgotten() for _ in range(2)]
    assert [PostingKind.RESERVE, PostingKind.REFUND] == await postings(forgotten)


async def test_settled_reserves_stay(process: Process, owner: User, sweeps: Housekeeping) -> None:
    """What was spent is not given back."""
    training = await process.completed(owner)
    process.clock.time += DAY
    assert 0 == await sweeps.refund_forgotten()
    assert [PostingKind.RESERVE, PostingKind.COMMIT] == await postings(training.id)


async def test_zips_are_forgotten_after_a_day(process: Process, owner: User, sweeps: Housekeeping) -> None:
    """24 hours after the upload, not a moment before, and only once."""
    training = await process.submitted(owner)
    await process.assembly.services.training_changes.cancel(owner.id, training.id)
    process.clock.time += DAY
    assert 0 == await sweeps.forget_archives()
    process.clock.time += SECOND
    assert [1, 0] == [await sweeps.forget_archives() for _ in range(2)]


@pytest.mark.parametrize("status", TrainingStatus)
async def test_the_zip_of_a_living_training_stays(
    process: Process, owner: User, sweeps: Housekeeping, *, status: TrainingStatus
) -> None:
    """Until the job has ended, however old it is."""
    url = "https://provider.example/a.zip"
    await rows.archive(owner.id, url=url)
    percent = 100.0 if status is TrainingStatus.COMPLETED else 50.0
    await rows.training(owner.id, status=status, archive_url=url, percent=percent)
    await rows.training(owner.id, status=TrainingStatus.TRAINING)  # its ZIP is not known yet
    process.clock.time += 30 * DAY
    assert (1 if status.is_final else 0) == await sweeps.forget_archives()
    assert status.is_final != await TrainingArchive.exists()


async def test_old_deliveries_are_removed(process: Process, sweeps: Housekeeping) -> None:
    """After 8 days; the provider repeats itself for less."""
    for number, age in enumerate((7 * DAY, 8 * DAY, 8 * DAY + SECOND)):
        columns = {"source": "fal", "external_id": f"r{number}", "body": {}, "received_at": NOON - age}
        await InboxMessage.create(**columns)
    assert [1, 0] == [await sweeps.forget_inbox() for _ in range(2)]
    assert ["r0", "r1"] == await InboxMessage.all().order_by("external_id").values_list("external_id", flat=True)


async def test_old_runs_are_removed(process: Process, sweeps: Housekeeping) -> None:
    """Those that ended 30 days ago."""
    assert 3 == await sweeps.forget_runs()
    assert [NOON - 30 * DAY] == process.jobs.forgotten_before


def aged(path: Path, age: timedelta, *, folder: bool = False) -> Path:
    """A file or folder whose last change was this long before noon."""
    if folder:
        path.mkdir()
    else:
        path.write_bytes(b"x")
    moment = (NOON - age).timestamp()
    os.utime(path, (moment, moment))
    return path


async def test_old_temporary_files_are_removed(process: Process, sweeps: Housekeeping) -> None:
    """Files and whole folders in which nothing changed for six hours; not a running upload's or packing's."""
    old_file, new_file = aged(process.folder / "old", 7 * HOUR), aged(process.folder / "new", 5 * HOUR)
    old_folder, busy_folder = process.folder / "training-old", process.folder / "training-busy"
    for folder, age in ((old_folder, 7 * HOUR), (busy_folder, HOUR)):
        folder.mkdir()
        aged(folder / "training.zip", age)
        aged(folder / "first", 7 * HOUR)
        os.utime(folder, ((NOON - 7 * HOUR).timestamp(),) * 2)
    assert [2, 0] == [await sweeps.remove_temporary() for _ in range(2)]
    assert [False, True, False, True] == [path.exists() for path in (old_file, new_file, old_folder, busy_folder)]
    assert ["first", "training.zip"] == sorted(path.name for path in busy_folder.iterdir())


async def test_a_living_run_keeps_its_files(process: Process, owner: User, sweeps: Housekeeping) -> None:
    """A sweep in the middle of packing removes nothing that is needed."""
    training = await process.training(owner)
    process.provider.during["upload"] = partial(_sweep_as_of_now, process, sweeps)
    await process.assembly.training_run.hand_over(training.id)
    assert (await Training.get(id=training.id)).archive_url is not None
    assert [] == list(process.folder.glob("training-*"))


async def _sweep_as_of_now(process: Process, sweeps: Housekeeping) -> None:
    newest = max(path.stat().st_mtime for path in process.folder.rglob("*"))
    process.clock.time = NOON.fromtimestamp(newest + 5 * 3600, tz=NOON.tzinfo)
    assert 0 == await sweeps.remove_temporary()


async def test_every_sweep_is_done_and_logged(process: Process, owner: User, sweeps: Housekeeping) -> None:
    """What was found is one line each; a second round finds only what may be asked for again."""
    await rows.archive(owner.id)
    process.clock.time += DAY
    await process.assembly.credits.reserve(owner.id, new_id(), 1)
    process.clock.time += HOUR
    aged(process.folder / "old", timedelta(0))
    with capture_logs() as first:
        await sweeps.sweep()
    with capture_logs() as second:
        await sweeps.sweep()
    found = [{name: value for name, value in line.items() if name not in {"event", "log_level"}} for line in first]
    expected = [{"reserves_refunded": 1}, {"archives_forgotten": 1}, {"temporary_removed": 1}, {"runs_forgotten": 3}]
    assert expected == found
    assert {"sweep"} == {line["event"] for line in first}
    assert [{"runs_forgotten": 3, "event": "sweep", "log_level": "info"}] == second


async def test_a_failing_sweep_stops_no_other(
    process: Process, sweeps: Housekeeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged by name, and the others are done."""

    async def fail() -> int:
        raise OSError("the database is away")

    failing = {name: (fail if name != "runs_forgotten" else work) for name, work in sweeps.sweeps.items()}
    monkeypatch.setattr(Housekeeping, "sweeps", failing)
    with capture_logs() as lines:
        await sweeps.sweep()
    assert [*failing][:-1] == [line["sweep"] for line in lines if line["event"] == "sweep.failed"]
    assert 3 == lines[-1]["runs_forgotten"]


async def test_sweeps_on_each_database(database: str, tmp_path: Path) -> None:
    """Their questions are understood by both, and with nothing to do nothing is done."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        process = Process(folder=tmp_path, workers=workers)
        owner = await process.user()
        training = await process.submitted(owner)
        await process.assembly.trainings.progress(training.id, stage=TrainingStage.TRAINING, message="Training")
        process.clock.time += HOUR
        found = {name: await work() for name, work in process.assembly.housekeeping.sweeps.items()}
        assert {"runs_forgotten": 3} == {name: count for name, count in found.items() if count}


async def test_what_a_killed_process_copied_halfway(tmp_path: Path) -> None:
    """A day later the local store removes it; a copy that another process is making stays."""
    store = LocalStore(tmp_path / "assets", base_url="http://localhost", secret=b"s")
    source = tmp_path / "picture"
    source.write_bytes(b"pixels")
    await store.put(source, kind=AssetKind.IMAGE, name="a.png", content_type="image/png")
    old, new = (tmp_path / "assets" / INCOMING / name for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    yesterday = old.stat().st_mtime - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    await store.put(source, kind=AssetKind.IMAGE, name="b.png", content_type="image/png")
    assert (False, True) == (old.exists(), new.exists())
