"""What durable runs promise: DBOS on SQLite and on PostgreSQL."""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from models.errors import InsufficientCredits
from services.gateways.jobs_dbos import DbosJobs
from services.ports import Run
from tests.contract.dbos_worker import QUICK, Journal, jobs_at
from tests.services_for_tests import postgres_server, postgres_template, postgres_url  # noqa: F401

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh system database of each kind."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/runs.db"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """What the runs of all processes note."""
    return Journal(tmp_path / "journal")


@asynccontextmanager
async def working(url: str, runs: dict[str, Run], *, executor: str = "local") -> AsyncIterator[DbosJobs]:
    """Work in this process."""
    jobs = jobs_at(url, executor=executor)
    await jobs.start(runs)
    try:
        yield jobs
    finally:
        await jobs.stop()


@asynccontextmanager
async def killed_after(word: str, **order: Any) -> AsyncIterator[None]:
    """Let another process work until it has noted the word, then kill it with SIGKILL."""
    journal = Journal(Path(order["journal"]))
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.contract.dbos_worker", json.dumps({"executor": "local", **order}), cwd=ROOT
    )
    try:
        await until(lambda: word in journal.words() or worker.returncode is not None)
        assert worker.returncode is None
    finally:
        if worker.returncode is None:
            worker.kill()
        await worker.wait()
    yield


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something that does happen has happened."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


class Notes:
    """Runs of this process, made of steps that note their name."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.errors: list[Exception] = []

    def step(
        self, name: str, *, failing: Exception | None = None, times: int = 1000
    ) -> Callable[[UUID], Awaitable[None]]:
        """A step that fails the first `times` it is tried, or never."""

        async def step(id: UUID) -> None:
            self.done.append(name)
            if failing is not None and self.done.count(name) <= times:
                raise failing

        step.__name__ = name
        return step

    async def give_up(self, id: UUID, error: Exception) -> None:
        self.done.append("give_up")
        self.errors.append(error)

    def run(self, *steps: Callable[[UUID], Awaitable[None]]) -> Run:
        """A run of these steps."""
        return Run(steps=steps, give_up=self.give_up)


@pytest.fixture
def notes() -> Notes:
    """What the runs of this process note."""
    return Notes()


async def test_steps_run_once_in_order_on_our_loop(url: str, notes: Notes) -> None:
    """A run does its steps one after the other, each once, on the loop that started the jobs."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def where(id: UUID) -> None:
        loops.append(asyncio.get_running_loop())

    async with working(url, {"a": notes.run(notes.step("one"), where, notes.step("two"))}) as jobs:
        await jobs.enqueue("a", uuid4())
        await until(lambda: "two" in notes.done)
    assert notes.done == ["one", "two"]
    assert [asyncio.get_running_loop()] == loops


async def test_asking_again_changes_nothing(url: str, notes: Notes) -> None:
    """The same kind and id run once: asked twice at once, while running, after it, and after a restart."""
    id = uuid4()
    runs = {"a": notes.run(notes.step("a")), "b": notes.run(notes.step("b"))}
    async with working(url, runs) as jobs:
        await asyncio.gather(*(jobs.enqueue("a", id) for _ in range(5)))
        await until(lambda: "a" in notes.done)
        await jobs.enqueue("a", id)
        await jobs.enqueue("b", id)
        await until(lambda: "b" in notes.done)
    async with working(url, runs) as jobs:
        await jobs.enqueue("a", id)
        await jobs.enqueue("b", uuid4())
        await until(lambda: notes.done.count("b") == 2)
    assert notes.done == ["a", "b", "b"]


async def test_an_unknown_kind_is_refused(url: str, notes: Notes) -> None:
    """Nothing is written for a kind that nobody could run."""
    async with working(url, {"a": notes.run()}) as jobs:
        with pytest.raises(KeyError):
            await jobs.enqueue("b", uuid4())


async def test_a_step_may_ask_for_another_run(url: str, notes: Notes) -> None:
    """A run that a step enqueues is a run of its own."""
    jobs = jobs_at(url)

    async def ask(id: UUID) -> None:
        await jobs.enqueue("b", id)

    await jobs.start({"a": notes.run(ask, notes.step("a")), "b": notes.run(notes.step("b"))})
    try:
        await jobs.enqueue("a", uuid4())
        await until(lambda: sorted(notes.done) == ["a", "b"])
    finally:
        await jobs.stop()


async def test_many_runs_wait_at_once(url: str, notes: Notes) -> None:
    """More runs than threads are inside their step at the same time."""
    inside: set[UUID] = set()
    go = asyncio.Event()

    async def wait(id: UUID) -> None:
        inside.add(id)
        await go.wait()

    async with working(url, {"a": notes.run(wait, notes.step("after"))}) as jobs:
        ids = {uuid4() for _ in range(40)}
        await asyncio.gather(*(jobs.enqueue("a", id) for id in ids))
        await until(lambda: inside == ids)
        go.set()
        await until(lambda: notes.done.count("after") == 40)


async def test_an_error_of_ours_gives_up_at_once(url: str, notes: Notes) -> None:
    """A failure that a user can be told about is not tried again, and give_up gets it whole."""
    error = InsufficientCredits(required=20, available=3)
    async with working(url, {"a": notes.run(notes.step("a", failing=error), notes.step("never"))}) as jobs:
        await jobs.enqueue("a", uuid4())
        await until(lambda: bool(notes.errors))
    assert notes.done == ["a", "give_up"]
    assert InsufficientCredits is type(notes.errors[0])
    assert (vars(error), str(error)) == (vars(notes.errors[0]), str(notes.errors[0]))


async def test_another_error_is_tried_again_then_given_up(url: str, notes: Notes) -> None:
    """An unexpected failure is tried as often as patience says; give_up gets the last one."""
    async with working(url, {"a": notes.run(notes.step("a", failing=OSError(5, "away")), notes.step("never"))}) as jobs:
        await jobs.enqueue("a", uuid4())
        await until(lambda: bool(notes.errors))
    assert ["a"] * QUICK.attempts + ["give_up"] == notes.done
    assert (OSError, "[Errno 5] away") == (type(notes.errors[0]), str(notes.errors[0]))


async def test_an_error_that_cannot_be_stored_is_still_given_up(url: str, notes: Notes) -> None:
    """A failure that cannot be pickled reaches give_up as its text."""
    error = ValueError("odd")
    error.loop = asyncio.get_running_loop()  # type: ignore[attr-defined]
    async with working(url, {"a": notes.run(notes.step("a", failing=error))}) as jobs:
        await jobs.enqueue("a", uuid4())
        await until(lambda: bool(notes.errors))
    assert str(notes.errors[0]) == "ValueError: odd"


async def test_a_passing_trouble_is_survived(url: str, notes: Notes) -> None:
    """A step that works when tried again lets the run go on."""
    trouble = notes.step("a", failing=OSError("away"), times=QUICK.attempts - 1)
    async with working(url, {"a": notes.run(trouble, notes.step("b"))}) as jobs:
        await jobs.enqueue("a", uuid4())
        await until(lambda: "b" in notes.done)
    assert ["a"] * QUICK.attempts + ["b"] == notes.done


async def test_giving_up_is_tried_again(url: str, notes: Notes) -> None:
    """A give_up that fails is repeated, the failed step is not."""
    tries: list[Exception] = []

    async def give_up(id: UUID, error: Exception) -> None:
        tries.append(error)
        if len(tries) == 1:
            raise OSError("away")

    failing = notes.step("a", failing=InsufficientCredits(required=2, available=1))
    async with working(url, {"a": Run(steps=[failing], give_up=give_up)}) as jobs:
        await jobs.enqueue("a", uuid4())
        await until(lambda: len(tries) == 2)
    assert notes.done == ["a"]


async def test_stop_leaves_the_rest_for_the_next_start(
    url: str, notes: Notes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping cancels a running step without noise; the next start repeats that step only and goes on."""
    monkeypatch.setattr(logging.getLogger("dbos"), "handlers", [caplog.handler])
    cancelled = asyncio.Event()

    async def hang(id: UUID) -> None:
        notes.done.append("hang")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with working(url, {"a": notes.run(notes.step("one"), hang, notes.step("two"))}) as jobs:
        await jobs.enqueue("a", uuid4())
        await until(lambda: "hang" in notes.done)
    assert cancelled.is_set()
    assert caplog.records == []
    async with working(url, {"a": notes.run(notes.step("one"), notes.step("hang"), notes.step("two"))}):
        await until(lambda: "two" in notes.done)
    assert notes.done == ["one", "hang", "hang", "two"]


async def test_threads_work_after_stop(url: str, notes: Notes) -> None:
    """The loop's own threads are usable again once the jobs have stopped, and stopping twice is harmless."""
    async with working(url, {"a": notes.run(notes.step("a"))}) as jobs:
        await jobs.enqueue("a", uuid4())
        await until(lambda: "a" in notes.done)
        await jobs.stop()
        assert await asyncio.to_thread(lambda: 3) == 3


async def test_two_databases_one_after_the_other(url: str, notes: Notes, tmp_path: Path) -> None:
    """Nothing of one database is left when the same process works on another."""
    runs = {"a": notes.run(notes.step("a"))}
    id = uuid4()
    for address in (url, f"sqlite:///{tmp_path}/other.db"):
        async with working(address, runs) as jobs:
            done = len(notes.done)
            await jobs.enqueue("a", id)
            await until(lambda done=done: len(notes.done) > done)
    assert notes.done == ["a", "a"]


async def test_start_fails_cleanly(url: str, notes: Notes, tmp_path: Path) -> None:
    """After a start without a database the same process can start on one that is there."""
    missing = jobs_at(f"sqlite:///{tmp_path}/no/folder.db")
    with pytest.raises(Exception, match="unable to open"):
        await missing.start({})
    async with working(url, {"a": notes.run(notes.step("a"))}) as jobs:
        await jobs.enqueue("a", uuid4())
        await until(lambda: "a" in notes.done)


async def test_a_killed_process_resumes_at_its_step(url: str, journal: Journal, tmp_path: Path) -> None:
    """After SIGKILL inside the second step, the next process repeats it and not the first."""
    order = {"url": url, "journal": str(tmp_path / "journal"), "kind": "steady", "id": str(uuid4())}
    async with killed_after("second", **order, hang="second"), working(url, dict(journal.runs())):
        await until(lambda: "third" in journal.words())
    assert journal.words() == ["first", "second", "second", "third"]


async def test_a_process_killed_while_giving_up_gives_up_again(url: str, journal: Journal, tmp_path: Path) -> None:
    """After SIGKILL inside give_up, the next process is told the same failure; the failed step is not repeated."""
    order = {"url": url, "journal": str(tmp_path / "journal"), "kind": "unpaid", "id": str(uuid4())}
    async with killed_after("give_up", **order, hang="give_up"), working(url, dict(journal.runs())):
        await until(lambda: journal.words().count("give_up") == 2)
    told = "InsufficientCredits 20 This costs 20 credits and 3 are available."
    assert ["first", "unpaid", told, "give_up", told, "give_up"] == journal.words()


async def test_a_run_of_another_process_is_executed(
    postgres_url: str,  # noqa: F811
    journal: Journal,
    tmp_path: Path,
) -> None:
    """What a process enqueues before it dies is executed by another that was already working."""
    order = {"url": postgres_url, "journal": str(tmp_path / "journal"), "kind": "steady", "id": str(uuid4())}
    async with working(postgres_url, dict(journal.runs()), executor="here"):
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.contract.dbos_worker",
            json.dumps({**order, "executor": "there", "hang": "enqueue"}),
            cwd=ROOT,
        )
        assert await worker.wait() == 0
        await until(lambda: "third" in journal.words())
    assert journal.words() == ["first", "second", "third"]


async def test_the_runs_of_a_dead_executor_are_taken_over(
    postgres_url: str,  # noqa: F811
    journal: Journal,
    tmp_path: Path,
) -> None:
    """A living process continues the runs of a dead one where they stopped."""
    order = {"url": postgres_url, "journal": str(tmp_path / "journal"), "kind": "steady", "id": str(uuid4())}
    async with (
        killed_after("second", **order, executor="dead", hang="second"),
        working(postgres_url, dict(journal.runs()), executor="alive") as jobs,
    ):
        assert await jobs.take_over("nobody") == 0
        assert await jobs.take_over("dead") == 1
        await until(lambda: "third" in journal.words())
    assert journal.words() == ["first", "second", "second", "third"]
