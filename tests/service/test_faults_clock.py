"""The clock jumps by 25 hours: no job is given up or paid for twice, nothing in use is swept, and days stay days."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from models.errors import SubmitUnknown
from models.ids import new_id
from models.ledger import AccountKind, LedgerAccount, PostingKind
from models.photo import TrainingArchive
from models.training import Training, TrainingEvent
from models.user import User
from services.ports import Ended, ProviderJob, Running
from services.submissions import GRACE
from tests.lost_wire import then
from tests.service import rows
from tests.service.engine import carried_out
from tests.service.ledger import assert_sound
from tests.service.process import DAILY, PRICE, Process, on_sqlite, postings
from tests.service.test_stuck import LOG, TimedBus
from tests.service.webhook_stage import TRAINED, WEIGHTS, WEIGHTS_URL

JUMP, MINUTE = timedelta(hours=25), timedelta(minutes=1)
SPENT, REFUNDED = [PostingKind.RESERVE, PostingKind.COMMIT], [PostingKind.RESERVE, PostingKind.REFUND]


pytestmark = pytest.mark.usefixtures("no_waiting_in_silence")


@pytest.fixture
async def process(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    """A process whose clock begins where that of its files is, and whose provider trains for a while."""
    (tmp_path / "tmp").mkdir()
    async with on_sqlite(sqlite_database_url, tmp_path / "tmp") as process:
        process.clock.time = datetime.now(UTC)
        process.bus = TimedBus(clock=process.clock)
        process.provider.answers["request-1"] = TRAINED
        process.provider.files[WEIGHTS_URL] = WEIGHTS
        process.provider.standing = [Running(logs=LOG), Running(logs=LOG), Ended()]
        yield process


@pytest.fixture
async def owner(process: Process) -> User:
    """Whose jobs they are."""
    return await process.user()


def once(call: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """The same call, of which only the first does anything."""
    left = [call]

    async def first() -> None:
        if left:
            await left.pop()()

    return first


async def jump_and_sweep(process: Process, by: timedelta = JUMP) -> None:
    """The clock jumps, and everything that is ever swept is swept."""
    process.clock.time += by
    for work in (*process.assembly.housekeeping.sweeps.values(), *process.assembly.upkeep.works.values()):
        await work()


@pytest.mark.parametrize(
    ("moment", "again"), [("upload", 1), ("submit", 0), ("watched", 0), ("fetched", 1), ("kept", 0)]
)
async def test_a_jump_during_a_training(
    process: Process, owner: User, monkeypatch: pytest.MonkeyPatch, *, moment: str, again: int
) -> None:
    """Whenever it happens the training completes after one call; where its files are swept, a step is tried again."""
    training, jump = await process.training(owner), once(partial(jump_and_sweep, process))
    if moment == "fetched":
        monkeypatch.setattr(process.provider, "download", then(process.provider.download, jump))
    elif moment == "kept":
        monkeypatch.setattr(process.store, "put", then(process.store.put, jump))
    elif moment == "watched":
        process.provider.during["status"] = partial(at_the_next, process, "status", jump)
    else:
        process.provider.during[moment] = jump
    began = process.clock.now()
    assert again == await carried_out(process.assembly.training_run.run, training.id)
    assert JUMP <= process.clock.now() - began < JUMP + GRACE
    assert ("COMPLETED", SPENT, 1) == await outcome(process, training)
    assert [] == process.provider.cancelled
    percents = [event.percent for event in await TrainingEvent.filter(training_id=training.id).order_by("seq")]
    assert sorted(percents) == percents


async def at_the_next(process: Process, call: str, jump: Callable[[], Awaitable[None]]) -> None:
    """Not within this call to the provider, but within the one that follows it."""
    process.provider.during[call] = jump


async def outcome(process: Process, training: Training) -> tuple[str, list[PostingKind], int]:
    """Status, what the ledger says, and how many calls were paid."""
    row = await Training.get(id=training.id)
    await assert_sound(row.owner_id)
    return row.status.value, await postings(row.id), len(process.provider.submitted)


async def test_the_zip_of_a_living_training_stays(process: Process, owner: User) -> None:
    """By the clock its day is over; it is forgotten when the training has ended."""
    training = await process.submitted(owner)
    await jump_and_sweep(process)
    assert await TrainingArchive.filter(url=training.archive_url).exists()
    await carried_out(process.assembly.training_run.run, training.id)
    assert ("COMPLETED", SPENT, 1) == await outcome(process, training)
    await jump_and_sweep(process, timedelta())
    assert not await TrainingArchive.exists()


@pytest.mark.parametrize("by", [JUMP, -JUMP], ids=["forwards", "backwards"])
@pytest.mark.parametrize("moment", ["in the call", "between two looks"])
async def test_a_jump_while_an_answer_is_lost(
    process: Process, owner: User, monkeypatch: pytest.MonkeyPatch, *, moment: str, by: timedelta
) -> None:
    """The provider's list is late: the call is looked for as long as ever, found, and not made again."""
    training, jump = await process.training(owner), once(partial(jump_and_sweep, process, by))
    lose_answers(process, monkeypatch, in_the_call=jump if moment == "in the call" else None)
    look, looks = process.provider.find, 0

    async def late(endpoint: str, needle: str, **wanted: Any) -> Sequence[ProviderJob]:
        nonlocal looks
        looks += 1
        if looks == 2 and moment == "between two looks":
            await jump()
        return await look(endpoint, needle, **wanted) if looks > 30 else []

    monkeypatch.setattr(process.provider, "find", late)
    await carried_out(process.assembly.training_run.run, training.id)
    assert ("COMPLETED", SPENT, 1) == await outcome(process, training)


@pytest.mark.parametrize("by", [JUMP, -JUMP], ids=["forwards", "backwards"])
async def test_a_jump_while_a_call_is_lost_for_good(
    process: Process, owner: User, monkeypatch: pytest.MonkeyPatch, *, by: timedelta
) -> None:
    """After the grace time, in which somebody looked, it is given up with a refund: neither sooner nor a day later."""
    training, jump = await process.training(owner), partial(jump_and_sweep, process, by)
    lose_answers(process, monkeypatch, in_the_call=jump)

    async def nothing(endpoint: str, needle: str, **wanted: Any) -> Sequence[ProviderJob]:
        return []

    monkeypatch.setattr(process.provider, "find", nothing)
    began = process.clock.now()
    await carried_out(process.assembly.training_run.run, training.id)
    assert GRACE <= process.clock.now() - began - by < GRACE + MINUTE
    assert ("FAILED", REFUNDED, 1) == await outcome(process, training)


async def test_a_jump_back_while_the_process_is_dead(process: Process, owner: User) -> None:
    """An intent of tomorrow, by the clock of now, is looked for as long as any other."""
    training = await process.training(owner)
    await process.assembly.training_run.hand_over(training.id)
    await rows.submission(training.id, created_at=process.clock.now() + JUMP)
    began = process.clock.now()
    await carried_out(process.assembly.training_run.run, training.id)
    assert GRACE <= process.clock.now() - began < GRACE + MINUTE
    assert ("FAILED", REFUNDED, 0) == await outcome(process, training)


def lose_answers(
    process: Process, monkeypatch: pytest.MonkeyPatch, *, in_the_call: Callable[[], Awaitable[None]] | None
) -> None:
    """The provider takes every call, and none of its answers arrives."""
    submit = process.provider.submit

    async def losing(*args: Any, **options: Any) -> ProviderJob:
        await submit(*args, **options)
        if in_the_call is not None:
            await in_the_call()
        raise SubmitUnknown(reason="the connection was cut.")

    monkeypatch.setattr(process.provider, "submit", losing)


async def test_a_refund_after_a_jump(process: Process, owner: User) -> None:
    """That day is over, so the credits go to the balance; the new day's allowance is whole, and not doubled by it."""
    training = await process.submitted(owner)
    assert DAILY - PRICE == await process.spendable(owner)
    await jump_and_sweep(process)
    assert DAILY == await process.spendable(owner)
    await process.assembly.services.training_changes.cancel(owner.id, training.id)
    quota = await process.assembly.credits.quota(owner.id)
    assert (DAILY, 0, PRICE) == (quota.remaining, quota.daily_used, quota.current_balance)
    await assert_sound(owner.id)


async def test_a_clock_that_jumps_to_and_fro(process: Process, owner: User) -> None:
    """Each day has its allowance once: what was used of it stays used when the clock comes back."""
    credits, left = process.assembly.credits, []
    for by in (JUMP, -JUMP) * 3:
        await credits.reserve(owner.id, new_id(), 10)
        left.append(await process.spendable(owner))
        process.clock.time += by
    assert [DAILY - used for used in (10, 10, 20, 20, 30, 30)] == left
    allowances = await LedgerAccount.filter(owner_id=owner.id, kind=AccountKind.ALLOWANCE)
    assert [DAILY] * 2 == [account.granted for account in allowances]
    await assert_sound(owner.id)
