"""SIGTERM and Ctrl-C: a process ends by itself, whatever it waits for, and says how with its exit code."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.crashing.caller import draw_photos, until
from tests.e2e.crashing.cluster import Cluster, Wire
from tests.e2e.crashing.process import Process, running, serving

SIGNALS = [signal.SIGTERM, signal.SIGINT]
TOO_LATE = "not everything could be closed"


async def code_after(process: Process, number: signal.Signals, *, within: float) -> int:
    """The exit code, for a signal."""
    process.send(number)
    return await asyncio.wait_for(process.ended(), within)


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_server_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """0, for whichever signal; nothing is said of it."""
    server = serving(tmp_path)
    async with running(server):
        assert 0 == await code_after(server, number, within=20)
    assert "Aborted" not in server.log.read_text()


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_worker_in_order(tmp_path: Path, postgres_url: str, redis_url: str, number: signal.Signals) -> None:
    """The same."""
    cluster = Cluster(tmp_path, postgres_url, redis_url)
    worker = cluster.worker("worker")
    async with cluster.running(worker):
        assert 0 == await code_after(worker, number, within=20)


@pytest.fixture
async def wire(postgres_url: str) -> AsyncIterator[Wire]:
    """What leads to PostgreSQL."""
    async with Wire.before(postgres_url) as opened:
        yield opened


@pytest.fixture
def cluster(tmp_path: Path, postgres_url: str, redis_url: str, wire: Wire) -> Cluster:
    """Processes that reach PostgreSQL over the wire."""
    return Cluster(tmp_path, wire.over(postgres_url), redis_url, {"SANDBOX_SPEED": 2})


def impatient(process: Process, seconds: int) -> Process:
    """The same, with so much time for its end."""
    return replace(process, command=("tests.e2e.quick_stop", str(seconds), *process.command[1:]))


async def test_a_server_whose_database_is_silent(cluster: Cluster, wire: Wire, tmp_path: Path) -> None:
    """At work on a training, and with a request that waits."""
    server = impatient(cluster.server("server"), 5)
    async with cluster.running(server):
        caller = cluster.caller(server)
        await caller.train(await caller.upload(draw_photos(tmp_path, 1)), "key", steps=500)
        await until(cluster.owners, seconds=20)
        wire.fall_silent()
        waiting = asyncio.create_task(caller.ask("{ quota { remaining } }"))
        assert await code_after(server, signal.SIGTERM, within=15) in {0, 1}
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_worker_whose_database_is_silent(cluster: Cluster, wire: Wire) -> None:
    """It ends, too."""
    worker = impatient(cluster.worker("worker"), 5)
    async with cluster.running(worker):
        wire.fall_silent()
        assert await code_after(worker, signal.SIGTERM, within=15) in {0, 1}


async def test_the_last_resort(cluster: Cluster, wire: Wire) -> None:
    """Where the orderly end takes too long the process says so, and ends with 1."""
    worker = impatient(cluster.worker("worker"), 1)
    async with cluster.running(worker):
        wire.fall_silent()
        assert 1 == await code_after(worker, signal.SIGTERM, within=10)
    assert TOO_LATE in worker.log.read_text()
