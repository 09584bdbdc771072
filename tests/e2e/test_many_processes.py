"""Several processes on one PostgreSQL and one Redis: one dies, one sleeps, and no job notices."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.presence import DEAD_AFTER
from tests.e2e import main_job
from tests.e2e.crashing.caller import AUDIT, LEDGER, Caller, draw_photos, until
from tests.e2e.crashing.cluster import Cluster
from tests.e2e.crashing.process import Process, serving
from tests.e2e.crashing.sweep import submitted

SPEED = 5  # a training of 500 steps takes 40 seconds: longer than anybody is dead or asleep
STEPS = 500
TAKEN_OVER_WITHIN = 30.0
ASLEEP = 30.0  # seconds of SIGSTOP


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Two servers, of which one will be killed, and a worker, which will be stopped."""

    cluster: Cluster
    server: Process
    killed: Process
    stopped: Process


@pytest.fixture
async def crowd(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Crowd]:
    """All three at work."""
    cluster = Cluster(tmp_path, postgres_url, redis_url, {"SANDBOX_SPEED": SPEED})
    server, killed, stopped = cluster.server("server"), cluster.server("killed"), cluster.worker("stopped")
    async with cluster.running(server, killed, stopped):
        yield Crowd(cluster=cluster, server=server, killed=killed, stopped=stopped)


async def start_until_both_work(crowd: Crowd, caller: Caller, photos: list[str]) -> list[str]:
    """Start trainings, one by one, until each of the two victims works on one; their ids."""
    trainings: list[str] = []
    async with asyncio.timeout(40):
        while True:
            trainings.append(await caller.train(photos, f"key {len(trainings)}", steps=STEPS))
            await until(lambda: has_owner(crowd.cluster, trainings[-1]), seconds=20)
            at_work = [await crowd.cluster.owned_by(victim) for victim in (crowd.killed, crowd.stopped)]
            if all(at_work):
                return trainings


async def has_owner(cluster: Cluster, training: str) -> bool:
    """Whether somebody works on it."""
    return training in await cluster.owners()


async def taken_over(cluster: Cluster, jobs: set[str], before: dict[str, str]) -> float:
    """The seconds until others work on all of these jobs."""
    begin = time.monotonic()

    async def moved() -> bool:
        now = await cluster.owners()
        return all(job in now and now[job] != before[job] for job in jobs)

    await until(moved, seconds=TAKEN_OVER_WITHIN)
    return time.monotonic() - begin


async def wake_up(crowd: Crowd) -> None:
    """SIGCONT after a sleep that is longer than anybody waits for a sign of life; it is alive again afterwards."""
    await asyncio.sleep(ASLEEP)
    crowd.stopped.send(signal.SIGCONT)
    before = max((await crowd.cluster.beats()).values())

    async def beats() -> bool:
        found = await crowd.cluster.beats()
        return any(at > before for id, at in found.items() if f"-{crowd.stopped.pid}-" in id)

    await until(beats, seconds=20)


@pytest.mark.timeout(240)
async def test_one_dies_and_one_sleeps(crowd: Crowd, tmp_path: Path) -> None:
    """kill -9, and SIGSTOP for 30 s: their runs are taken over, paid for once, and told at a third without a gap."""
    assert timedelta(seconds=ASLEEP) > DEAD_AFTER
    caller = crowd.cluster.caller(crowd.server)
    photos = await caller.upload(draw_photos(tmp_path, 1))
    trainings = await start_until_both_work(crowd, caller, photos)
    followers = [asyncio.create_task(caller.follow(main_job.PROGRESS, id)) for id in trainings]
    killed, stopped = await crowd.cluster.owned_by(crowd.killed), await crowd.cluster.owned_by(crowd.stopped)
    await until(lambda: all_submitted(tmp_path, trainings), seconds=20)
    before = await crowd.cluster.owners()
    crowd.stopped.send(signal.SIGSTOP)
    waking = asyncio.create_task(wake_up(crowd))
    await crowd.killed.kill()
    took = await taken_over(crowd.cluster, killed, before)
    print(f"{len(killed)} runs of the dead were taken over after {took:.1f} s")  # noqa: T201
    took = await taken_over(crowd.cluster, stopped, before)
    print(f"{len(stopped)} runs of the sleeping were taken over {took:.1f} s later")  # noqa: T201
    await waking
    async with asyncio.timeout(90):
        seen = await asyncio.gather(*followers)
    for events in seen:
        assert list(range(1, len(events) + 1)) == [event["seq"] for event in events]
        assert "COMPLETED" == events[-1]["status"]
    assert len(trainings) == len(submitted(tmp_path / "data"))
    await assert_paid_once(caller, trainings)
    # The one that slept has been awake for a while, and has written nothing behind the end.
    assert [len(events) for events in seen] == [len(await caller.follow(main_job.PROGRESS, id)) for id in trainings]


async def all_submitted(folder: Path, trainings: list[str]) -> bool:
    """Whether every training has reached the provider."""
    return len(submitted(folder / "data")) == len(trainings)


async def assert_paid_once(caller: Caller, trainings: list[str]) -> None:
    """One reserve and one commit each, nothing else, and the whole ledger is sound."""
    assert (await caller.ask(AUDIT))["balanced"]
    postings: list[dict[str, Any]] = (await caller.ask(LEDGER))["nodes"]
    for id in trainings:
        assert ["COMMIT", "RESERVE"] == sorted(posting["kind"] for posting in postings if posting["jobId"] == id)
    assert 20 * len(trainings) == (await caller.ask(main_job.QUOTA))["dailyUsed"]


async def test_sqlite_has_one_process(tmp_path: Path) -> None:
    """A second `serve` on the same DATA_DIR ends at once, with one sentence and exit code 2; the first goes on."""
    first, second = (serving(tmp_path, name=name) for name in ("first", "second"))
    await first.start()
    try:
        second.launch()
        assert 2 == await second.ended()
        [sentence] = second.log.read_text().splitlines()
        assert sentence.startswith(f"likeness: Another process uses {tmp_path / 'data'} with SQLite;")
        await Caller(url=first.url).reachable()
    finally:
        await first.stop()


async def test_an_sqlite_file_has_one_process(tmp_path: Path) -> None:
    """A second `serve` with a DATA_DIR of its own on the same file, or on a link to it, ends like that too."""
    file, link = tmp_path / "shared.sqlite", tmp_path / "link.sqlite"
    link.symlink_to(file)
    first = serving(tmp_path, name="first", DATABASE_URL=f"sqlite://{file}")
    await first.start()
    try:
        for name in (file, link):
            environ = {"DATA_DIR": tmp_path / "other", "DATABASE_URL": f"sqlite://{name}"}
            second = serving(tmp_path, name=f"second-{name.stem}", **environ)
            second.launch()
            assert 2 == await second.ended()
            [sentence] = second.log.read_text().splitlines()
            assert sentence.startswith(f"likeness: Another process uses {file} with SQLite;")
        await Caller(url=first.url).reachable()
    finally:
        await first.stop()
