"""Cancelling in every stage: what is submitted, what the provider is told, and what comes back."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from models.errors import AlreadyFinished, ContentRefused, NotFound, ProviderUnavailable, ResultUnusable
from models.generation import Generation
from models.ids import new_id
from models.ledger import PostingKind
from models.lora import LoraModel
from models.status import GenerationStatus, TrainingStage, TrainingStatus
from models.training import Training
from models.user import User
from services import cancelling
from services.ports import CancelOutcome, Ended, ProviderJob, ProviderStatus, Queued, Running
from tests.fake_fal import no_waiting
from tests.service import rows
from tests.service.engine import carried_out
from tests.service.ledger import assert_sound
from tests.service.process import DAILY, PRICE, Moment, Process, on_sqlite, postings, told
from tests.service.webhook_stage import DRAWN, PICTURE_URL

REFUNDED = [PostingKind.RESERVE, PostingKind.REFUND]
SPENT = [PostingKind.RESERVE, PostingKind.COMMIT]


@pytest.fixture
async def process(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    """A process of its own."""
    async with on_sqlite(sqlite_database_url, tmp_path) as process:
        yield process


@pytest.fixture
async def owner(process: Process) -> User:
    """Who starts and cancels."""
    return await process.user()


async def cancel(process: Process, owner: User, id: UUID) -> Training:
    """Cancel a training."""
    return await process.assembly.services.training_changes.cancel(owner.id, id)


async def assert_cancelled(process: Process, owner: User, id: UUID, *, submits: int, told_provider: list[str]) -> None:
    """It has ended with one CANCELLED event, everything came back, and the provider was asked this much."""
    row = await Training.get(id=id)
    assert (TrainingStatus.CANCELLED, 0) == (row.status, row.credits_spent)
    assert row.completed_at is not None
    assert TrainingStatus.CANCELLED is (await LoraModel.get(id=row.model_id)).status
    statuses = [status for _, status in await told(id)]
    assert ("CANCELLED", 1) == (statuses[-1], statuses.count("CANCELLED"))
    assert list(range(1, len(statuses) + 1)) == [seq for seq, _ in await told(id)]
    assert REFUNDED == await postings(id)
    assert DAILY == await process.spendable(owner)
    assert (submits, told_provider) == (len(process.provider.submitted), process.provider.cancelled)
    await assert_sound(owner.id)


async def test_before_anything_was_done(process: Process, owner: User) -> None:
    """The run that comes afterwards packs nothing, uploads nothing and submits nothing."""
    training = await process.training(owner)
    shown = await cancel(process, owner, training.id)
    assert (TrainingStatus.CANCELLED, 2) == (shown.status, shown.seq)
    await process.run_all()
    await assert_cancelled(process, owner, training.id, submits=0, told_provider=[])
    assert 0 == process.provider.uploads


async def test_while_packing(process: Process, owner: User) -> None:
    """The upload that is under way ends, and nothing is submitted after it."""
    training = await process.training(owner)
    process.provider.during["upload"] = partial(cancel, process, owner, training.id)
    await process.run_all()
    await assert_cancelled(process, owner, training.id, submits=0, told_provider=[])


async def test_while_the_submit_is_on_its_way(process: Process, owner: User) -> None:
    """Nothing can call the POST back; as soon as its answer is there the provider is told."""
    training = await process.training(owner)
    process.provider.during["submit"] = partial(cancel, process, owner, training.id)
    await process.run_all()
    await assert_cancelled(process, owner, training.id, submits=1, told_provider=["request-1"])


async def test_while_the_next_try_is_waited_for(process: Process, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider has surely not taken the call: it is not made again."""
    training = await process.training(owner)
    posts = refused_once(process, monkeypatch, partial(cancel, process, owner, training.id))
    with no_waiting():
        await process.run_all()
    assert 1 == len(posts)
    await assert_cancelled(process, owner, training.id, submits=0, told_provider=[])


def refused_once(process: Process, monkeypatch: pytest.MonkeyPatch, moment: Moment) -> list[str]:
    """The first POST is answered with 429, and `moment` comes before the next; the endpoints of all POSTs."""
    posts, submit = list[str](), process.provider.submit

    async def refused(endpoint: str, arguments: Any, **options: Any) -> ProviderJob:
        posts.append(endpoint)
        if len(posts) == 1:
            await moment()
            raise ProviderUnavailable(reason="429")
        return await submit(endpoint, arguments, **options)

    monkeypatch.setattr(process.provider, "submit", refused)
    return posts


@pytest.mark.parametrize("end", ["cancelled", "failed"])
async def test_a_run_that_comes_too_late(process: Process, owner: User, *, end: str) -> None:
    """A training that ended before its paid call has nothing to follow and nothing to keep: no step fails."""
    training = await (process.training if end == "cancelled" else process.failed)(owner)
    if end == "cancelled":
        await cancel(process, owner, training.id)
    assert 0 == await carried_out(process.assembly.training_run.run, training.id)
    assert end.upper() == (await Training.get(id=training.id)).status.value
    assert [] == process.provider.submitted


@pytest.mark.parametrize("standing", [Queued(position=2), Running(logs=["flux_train:  10%|# | 100/1000"])], ids=str)
async def test_while_the_provider_has_it(process: Process, owner: User, *, standing: ProviderStatus) -> None:
    """Queued or running: the follower stops, and the provider is told once."""
    training = await process.training(owner)
    process.provider.standing = [standing]
    process.provider.during["status"] = partial(cancel, process, owner, training.id)
    await process.run_all()
    assert [("training", training.id)] == process.jobs.enqueued[:-1]
    await process.assembly.canceller.stop_at_provider(process.jobs.enqueued[-1][1])
    await assert_cancelled(process, owner, training.id, submits=1, told_provider=["request-1"])


async def test_the_provider_is_told_once(process: Process, owner: User) -> None:
    """However often the user asks."""
    training = await process.submitted(owner)
    for _ in range(3):
        await cancel(process, owner, training.id)
    for kind, id in dict.fromkeys(process.jobs.enqueued):
        if kind == cancelling.RUN:
            await process.assembly.canceller.stop_at_provider(id)
    await assert_cancelled(process, owner, training.id, submits=1, told_provider=["request-1"])


async def test_a_follower_is_woken(process: Process, owner: User) -> None:
    """It does not sit out its pause."""
    process.poll_seconds = 15
    training = await process.submitted(owner)
    process.provider.standing = [Queued(position=0)]
    follower = asyncio.create_task(process.assembly.training_run.watch(training.id))
    while f"wake:{training.id}" not in process.bus.listeners:
        await asyncio.sleep(0.001)
    await cancel(process, owner, training.id)
    async with asyncio.timeout(5):  # its pause has 15 seconds
        await follower


async def test_while_the_weights_are_kept_it_is_too_late(process: Process, owner: User) -> None:
    """FINALIZING is refused, and the training completes and is paid for."""
    training = await process.submitted(owner)
    await process.assembly.trainings.progress(training.id, stage=TrainingStage.FINALIZING, message="Finalizing")
    with pytest.raises(AlreadyFinished, match=r"\(being finished\)") as refused:
        await cancel(process, owner, training.id)
    assert ("input", "id") == refused.value.path
    await process.assembly.trainings.complete(training.id, model={})
    assert SPENT == await postings(training.id)
    assert [] == process.provider.cancelled


@pytest.mark.parametrize("end", ["completed", "failed"])
async def test_what_has_ended_stays(process: Process, owner: User, *, end: str) -> None:
    """COMPLETED and FAILED are ALREADY_FINISHED; nothing is written."""
    training = await getattr(process, end)(owner)
    before = await told(training.id), await postings(training.id)
    with pytest.raises(AlreadyFinished, match=end.upper()):
        await cancel(process, owner, training.id)
    assert before == (await told(training.id), await postings(training.id))


async def test_again_gives_the_same(process: Process, owner: User) -> None:
    """A second cancel answers like the first, writes no event and refunds nothing."""
    training = await process.training(owner)
    first, second = [await cancel(process, owner, training.id) for _ in range(2)]
    assert dict(first) == dict(second)
    await assert_cancelled(process, owner, training.id, submits=0, told_provider=[])


async def test_a_late_result_does_not_bring_it_back(process: Process, owner: User) -> None:
    """What the provider finished all the same is not kept: the user has said no."""
    training = await process.submitted(owner)
    process.provider.standing = [Ended()]
    process.provider.outcome = CancelOutcome.TOO_LATE
    await cancel(process, owner, training.id)
    await process.run_all()
    assert None is await process.assembly.trainings.complete(training.id, model={"weights_location": "w"})
    await process.assembly.training_run.settle(training.id)
    assert TrainingStatus.CANCELLED is (await Training.get(id=training.id)).status
    assert DAILY == await process.spendable(owner)


async def test_after_midnight_the_refund_is_not_lost(process: Process, owner: User) -> None:
    """It goes to the balance, as the day it came from is over."""
    training = await process.training(owner)
    process.clock.time += timedelta(days=1)
    await cancel(process, owner, training.id)
    quota = await process.assembly.credits.quota(owner.id)
    assert (PRICE, DAILY) == (quota.current_balance, quota.remaining)


async def test_others_cannot(process: Process, owner: User) -> None:
    """A stranger's and an unknown id are the same."""
    training = await process.training(owner)
    generation = await process.generation(owner)
    stranger = await process.user()
    for id in (training.id, new_id()):
        with pytest.raises(NotFound):
            await cancel(process, stranger, id)
    for id in (generation.id, new_id()):
        with pytest.raises(NotFound):
            await process.assembly.services.generation_changes.cancel(stranger.id, id)
    assert TrainingStatus.PENDING is (await Training.get(id=training.id)).status


@pytest.mark.parametrize("standing", [None, Queued(position=2), Running()], ids=str)
async def test_a_generation(process: Process, owner: User, *, standing: ProviderStatus | None) -> None:
    """Before the work, queued or running: CANCELLED, everything back, at most one submit, and the provider knows."""
    generation = await process.generation(owner)
    stop = partial(process.assembly.services.generation_changes.cancel, owner.id, generation.id)
    if standing is None:
        await stop()
    else:
        process.provider.standing = [standing]
        process.provider.during["status"] = stop
    await process.run_all()
    again = await stop()
    row = await Generation.get(id=generation.id)
    assert (GenerationStatus.CANCELLED, 0) == (row.status, row.credits_spent)
    assert dict(row) == dict(again)
    assert REFUNDED == await postings(generation.id)
    calls = [] if standing is None else ["request-1"]
    assert (len(calls), set(calls)) == (len(process.provider.submitted), set(process.provider.cancelled))
    assert DAILY == await process.spendable(owner)


async def test_a_generation_that_waits_for_its_next_try(
    process: Process, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not submitted after its owner's no."""
    generation = await process.generation(owner)
    stop = partial(process.assembly.services.generation_changes.cancel, owner.id, generation.id)
    posts = refused_once(process, monkeypatch, stop)
    with no_waiting():
        await process.run_all()
    assert (1, []) == (len(posts), process.provider.cancelled)
    assert GenerationStatus.CANCELLED is (await Generation.get(id=generation.id)).status
    assert REFUNDED == await postings(generation.id)


async def test_a_generation_whose_next_model_was_just_asked(process: Process, owner: User) -> None:
    """The first model's picture was no picture: it is shown no longer, and a cancel is in time."""
    generation, shown = await process.generation(owner), []
    process.provider.answers = {f"request-{number}": DRAWN for number in (1, 2)}
    process.provider.files[PICTURE_URL] = b"not a picture"

    async def first() -> None:
        process.provider.during["status"] = second

    async def second() -> None:
        row = await Generation.get(id=generation.id)
        shown.append((row.original_fal_url, row.fal_job_id))
        await process.assembly.services.generation_changes.cancel(owner.id, generation.id)

    process.provider.during["status"], process.provider.standing = first, [Ended(), Running()]
    await process.run_all()
    assert ([(None, None)], 2) == (shown, len(process.provider.submitted))
    assert GenerationStatus.CANCELLED is (await Generation.get(id=generation.id)).status
    assert (REFUNDED, DAILY) == (await postings(generation.id), await process.spendable(owner))
    assert {"request-2"} == set(process.provider.cancelled)


async def test_a_late_failure_hides_no_other_picture(
    process: Process, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second execution that still fails with the first model leaves what the next one has delivered."""
    generation, next_one = await process.generation(owner), {}

    async def elsewhere() -> None:
        next_one.update(original_fal_url="https://x.example/b.png", fal_job_id="request-2")
        await process.assembly.generations.progress(generation.id, message="Keeping the image", **next_one)

    async def refused(job: ProviderJob) -> Any:
        raise ContentRefused(reason="flagged.")

    process.provider.during["status"] = elsewhere
    monkeypatch.setattr(process.provider, "result", refused)
    with pytest.raises(ContentRefused):
        await process.assembly.generation_run.generate(generation.id)
    row = await Generation.get(id=generation.id)
    assert next_one == {"original_fal_url": row.original_fal_url, "fal_job_id": row.fal_job_id}


async def test_a_generation_whose_picture_is_there(process: Process, owner: User) -> None:
    """Once the provider has delivered it is too late, and it completes."""
    generation = await process.generation(owner)
    change = process.assembly.services.generation_changes
    await process.assembly.generations.progress(
        generation.id, message="Keeping the image", original_fal_url="https://x.example/a.png"
    )
    with pytest.raises(AlreadyFinished, match=r"\(being kept\)"):
        await change.cancel(owner.id, generation.id)
    await process.assembly.generations.complete(generation.id, location="image/a.png")
    with pytest.raises(AlreadyFinished, match="COMPLETED"):
        await change.cancel(owner.id, generation.id)
    assert SPENT == await postings(generation.id)


async def test_twenty_at_once(database: str, tmp_path: Path) -> None:
    """All of them succeed; there is one event and one refund."""
    process, owner = Process(folder=tmp_path, workers=ThreadPoolExecutor(1)), await rows.user()
    training = await process.training(owner)
    shown = await asyncio.gather(*(cancel(process, owner, training.id) for _ in range(20)))
    assert {(TrainingStatus.CANCELLED, 2)} == {(row.status, row.seq) for row in shown}
    await assert_cancelled(process, owner, training.id, submits=0, told_provider=[])


@pytest.mark.parametrize("number", range(5))
async def test_a_race_has_one_winner(database: str, tmp_path: Path, *, number: int) -> None:
    """Cancel, failure and completion at once: one final event and one settlement, and the loser is told."""
    process, owner = Process(folder=tmp_path, workers=ThreadPoolExecutor(1)), await rows.user()
    training = await process.submitted(owner)
    ends = [
        cancel(process, owner, training.id),
        process.assembly.trainings.fail(training.id, ResultUnusable(reason="broken.")),
        process.assembly.trainings.complete(training.id, model={}),
    ]
    ends = ends[number % 3 :] + ends[: number % 3]
    await asyncio.gather(*ends, return_exceptions=True)
    row = await Training.get(id=training.id)
    statuses = [status for _, status in await told(training.id) if status not in {"PENDING", "TRAINING"}]
    # A success after a failure is kept, and free.
    assert statuses in (["COMPLETED"], ["CANCELLED"], ["FAILED"], ["FAILED", "COMPLETED"])
    assert (SPENT if statuses == ["COMPLETED"] else REFUNDED) == await postings(training.id)
    assert statuses[-1] == row.status
    await assert_sound(owner.id)
