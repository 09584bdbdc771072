"""Transactions: all or nothing, what follows them, and callers that vanish in the middle."""

import asyncio
import gc
import random
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from models.lora import LoraModel
from models.user import User
from services.unit_of_work import after_commit, transactional
from tests.service import rows


@pytest.fixture
async def database(database: str) -> AsyncIterator[str]:
    """A database that must still work when the test is over."""
    yield database
    async with asyncio.timeout(30):
        await asyncio.gather(*(_user_with_model() for _ in range(20)))


@transactional
async def _user_with_model() -> User:
    """Two rows that belong together."""
    user = await rows.user()
    await asyncio.sleep(0)
    await rows.model(user.id)
    return user


async def test_what_was_written_is_kept_and_returned(database: str) -> None:
    """The rule's result comes back, and its rows are there."""
    user = await _user_with_model()
    assert [user.id] == await User.all().values_list("id", flat=True)
    assert [user.id] == await LoraModel.all().values_list("owner_id", flat=True)


async def test_a_failure_undoes_everything_and_forgets_what_was_to_follow(database: str) -> None:
    """The error comes through, no row stays, and no call is made."""
    calls: list[str] = []

    @transactional
    async def rule() -> None:
        after_commit(_note, calls, "too early")
        await rows.user()
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await rule()
    assert ([], 0) == (calls, await User.all().count())


async def test_calls_follow_the_commit_in_their_order(database: str) -> None:
    """They see the committed rows, run outside the transaction and may open one of their own."""
    calls: list[str] = []

    async def look(name: str) -> None:
        calls.append(f"{name}: {await User.all().count()} users")
        await _user_with_model()
        with pytest.raises(RuntimeError, match="needs a transaction"):
            after_commit(look, name)

    @transactional
    async def rule() -> None:
        after_commit(look, "first")
        after_commit(look, "second")
        await rows.user()
        calls.append("rule is over")

    await rule()
    assert ["rule is over", "first: 1 users", "second: 2 users"] == calls


async def test_a_rule_within_a_rule_joins_it(database: str) -> None:
    """The inner one commits nothing by itself, and what follows it waits for the outer commit."""
    calls: list[str] = []

    @transactional
    async def inner() -> None:
        after_commit(_note, calls, "inner")
        await rows.user()

    @transactional
    async def outer(*, fails: bool) -> None:
        await inner()
        calls.append("inner is over")
        if fails:
            raise LookupError

    with pytest.raises(LookupError):
        await outer(fails=True)
    assert (["inner is over"], 0) == (calls, await User.all().count())
    await outer(fails=False)
    assert (["inner is over", "inner is over", "inner"], 1) == (calls, await User.all().count())


async def test_a_failing_call_is_logged_and_the_next_one_made(database: str) -> None:
    """The rows are committed: the caller must not think that nothing happened."""
    calls: list[str] = []

    async def fails() -> None:
        raise OSError("the bus is away")

    @transactional
    async def rule() -> str:
        after_commit(fails)
        after_commit(_note, calls, "second")
        await rows.user()
        return "done"

    with capture_logs() as logs:
        assert "done" == await rule()
    assert (["second"], ["after_commit.failed"]) == (calls, [log["event"] for log in logs])
    assert 1 == await User.all().count()


async def test_after_commit_needs_a_transaction() -> None:
    """Outside there is no commit to wait for."""
    with pytest.raises(RuntimeError, match="needs a transaction"):
        after_commit(_note, [], "never")


async def test_a_cancelled_caller_does_not_stop_the_transaction(database: str) -> None:
    """It is told at once; the rows and the calls after them come all the same."""
    written, go, calls, told = asyncio.Event(), asyncio.Event(), [], asyncio.Event()

    async def note() -> None:
        calls.append("after")
        told.set()

    @transactional
    async def rule() -> None:
        after_commit(note)
        await rows.user()
        written.set()
        await go.wait()

    caller = asyncio.create_task(rule())
    await written.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert [] == calls
    go.set()
    async with asyncio.timeout(10):
        await told.wait()
    assert (["after"], 1) == (calls, await User.all().count())


async def test_a_failure_that_no_caller_waits_for_is_logged(database: str) -> None:
    """It would otherwise be lost, or reported by asyncio as an error that nobody retrieved."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    written, go = asyncio.Event(), asyncio.Event()

    @transactional
    async def rule() -> None:
        await rows.user()
        written.set()
        await go.wait()
        raise LookupError

    caller = asyncio.create_task(rule())
    await written.wait()
    caller.cancel()
    await asyncio.wait([caller])
    with capture_logs() as logs:
        go.set()
        while not logs:
            await asyncio.sleep(0)
    gc.collect()
    assert (["transaction.failed"], []) == ([log["event"] for log in logs], complaints)
    assert 0 == await User.all().count()


async def test_a_thousand_cancelled_callers_leave_the_database_working(database: str) -> None:
    """Wherever they are cancelled, both rows are there or none, and no connection or lock is lost."""
    chance = random.Random(6)
    ended = 0
    for _ in range(20):
        callers = [asyncio.create_task(_user_with_model()) for _ in range(50)]
        for caller in callers:
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if chance.random() < 0.7:
                caller.cancel()
        results = await asyncio.gather(*callers, return_exceptions=True)
        ended += sum(isinstance(result, User) for result in results)
    async with asyncio.timeout(30):
        while unfinished := [task for task in asyncio.all_tasks() if task.get_coro().__name__ == "_run"]:
            await asyncio.wait(unfinished)
    users, models = await User.all().count(), await LoraModel.all().count()
    assert users == models
    assert users > ended > 100


async def _note(calls: list[str], what: str) -> None:
    calls.append(what)
