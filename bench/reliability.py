"""What survives: kill -9 at every named place, then kill -9 of somebody every 1-3 s under 50 trainings.

Run it with `.venv/bin/python bench/reliability.py [--trainings 50] [--seconds 60] [--processes 4] [--seed 1]`.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from likeness.observability import configure_logging  # noqa: E402
from services.presence import DEAD_AFTER  # noqa: E402
from tests.e2e import main_job  # noqa: E402
from tests.e2e.crashing.caller import AUDIT, Caller, draw_photos  # noqa: E402
from tests.e2e.crashing.cluster import Cluster, is_of  # noqa: E402
from tests.e2e.crashing.points import CRASH_POINTS  # noqa: E402
from tests.e2e.crashing.process import Process  # noqa: E402
from tests.e2e.crashing.sweep import Outcome, expected, submitted, sweep  # noqa: E402
from tests.services_for_tests import create_database, drop_database, running_postgres, running_redis  # noqa: E402

PRICE = 20
PATIENCE = 900.0  # seconds in which everything must have ended; a call that may have been made is looked for 600


@dataclass
class Chaos:
    """Processes that are killed in turn, and what became of the runs of those that died."""

    cluster: Cluster
    processes: Sequence[Process]
    kills: int = 0
    taken_over: list[float] = field(default_factory=list)
    watches: set[asyncio.Task[None]] = field(default_factory=set)

    async def rage(self, *, seconds: float, dice: random.Random) -> None:
        """kill -9 of a random process every 1-3 s; whoever keeps them alive starts it again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(dice.uniform(1, 3))
            victim = dice.choice(self.processes)
            if victim.popen is None or victim.popen.poll() is not None:
                continue
            lost = {job: executor for job, executor in (await self.cluster.owners()).items() if is_of(executor, victim)}
            await victim.kill()
            self.kills += 1
            if lost:
                self.watches.add(asyncio.create_task(self._watch(lost)))

    async def _watch(self, lost: dict[str, str]) -> None:
        """Note after how many seconds nobody dead works on these runs any more."""
        begin = time.monotonic()
        while lost.items() & (await self.cluster.owners()).items():
            await asyncio.sleep(0.3)
        self.taken_over.append(time.monotonic() - begin)


async def storm(folder: Path, given: argparse.Namespace, *, database: str, redis: str) -> bool:
    """Servers and workers on one database, killed at random; prints what was counted."""
    cluster = Cluster(folder, database, redis, {"SANDBOX_SPEED": 4})
    servers = [cluster.server(f"server{number}") for number in range(2)]
    workers = [cluster.worker(f"worker{number}") for number in range(given.processes - 2)]
    chaos = Chaos(cluster, [*servers, *workers])
    callers = [cluster.caller(server) for server in servers]
    async with cluster.running(*chaos.processes):
        reviving = [asyncio.create_task(process.revive()) for process in chaos.processes]
        photos = await callers[0].upload(draw_photos(folder, 1))
        raging = asyncio.create_task(chaos.rage(seconds=given.seconds, dice=random.Random(given.seed)))
        trainings = [await callers[n % 2].train(photos, f"key {n}", steps=500) for n in range(given.trainings)]
        follows = [callers[n % 2].follow(main_job.PROGRESS, id) for n, id in enumerate(trainings)]
        async with asyncio.timeout(PATIENCE):
            seen = await asyncio.gather(*follows)
            await raging
            await asyncio.gather(*chaos.watches)
        await asyncio.gather(*(process.ready() for process in chaos.processes))
        for task in reviving:
            task.cancel()
        return await report(folder, callers[0], chaos, seen)


async def report(folder: Path, caller: Caller, chaos: Chaos, seen: list[list[dict[str, Any]]]) -> bool:
    """Print the counts; whether they are what they must be."""
    endings = [events[-1]["status"] for events in seen]
    completed = endings.count("COMPLETED")
    submits = len(submitted(folder / "data"))
    difference = (await caller.ask(main_job.QUOTA))["dailyUsed"] - PRICE * completed
    wrong = sum(wrong_events([event["seq"] for event in events]) for events in seen)
    balanced = (await caller.ask(AUDIT))["balanced"]
    times = chaos.taken_over or [0.0]
    print(f"  kills survived                {chaos.kills}")
    print(f"  trainings ended               {len(endings)}, {completed} of them COMPLETED")
    print(f"  paid submits per training     {submits / len(seen):.3f} ({submits} of {len(seen)})")
    print(f"  ledger difference             {difference} credits, audit {'balanced' if balanced else 'BROKEN'}")
    print(f"  events lost or doubled        {wrong} of {sum(map(len, seen))}")
    print(
        f"  taken over after (s)          median {statistics.median(times):.1f}, longest {max(times):.1f}"
        f" ({len(chaos.taken_over)} deaths with runs; dead after {DEAD_AFTER.total_seconds():.0f} s)"
    )
    # A call that never left its killed process is nobody's: that training fails, with its credits back.
    return (completed, difference, wrong, balanced) == (submits, 0, 0, True)


def wrong_events(seqs: Sequence[int]) -> int:
    """How many numbers are missing or there twice."""
    whole = set(range(1, max(seqs, default=0) + 1))
    return len(whole - set(seqs)) + len(seqs) - len(set(seqs))


async def named_places(folder: Path) -> bool:
    """The sweep over every named crash point; prints what was counted."""
    begin = time.monotonic()
    outcomes = await sweep(folder, list(CRASH_POINTS))
    print(f"kill -9 at {len(CRASH_POINTS)} named places, embedded ({time.monotonic() - begin:.0f} s)")
    print(f"  kills survived                {sum(outcome.deaths for outcome in outcomes)}")
    print(f"  ended as they must            {sum(map(is_right, outcomes))} of {len(outcomes)}")
    print(f"  most paid submits per job     {max(outcome.submits for outcome in outcomes)}")
    print(f"  ledger difference             {sum(o.spent - expected(o.point)[2] for o in outcomes)} credits")
    print(f"  events lost or doubled        {sum(wrong_events(outcome.seqs) for outcome in outcomes)}")
    for outcome in outcomes:
        if not is_right(outcome):
            print(f"  WRONG: {outcome}")
    return all(map(is_right, outcomes))


def is_right(outcome: Outcome) -> bool:
    """Whether a job came to what it must come to."""
    facts = (outcome.status, outcome.submits, outcome.spent)
    return facts == expected(outcome.point) and outcome.balanced and outcome.deaths == 1


async def measure(folder: Path, given: argparse.Namespace) -> bool:
    """Both parts."""
    right = given.skip_sweep or await named_places(folder / "sweep")
    with ExitStack() as stack:
        base = stack.enter_context(running_postgres())
        redis = stack.enter_context(running_redis())
        database = create_database(base)
        stack.callback(drop_database, base, url=database)
        print(f"kill -9 every 1-3 s for {given.seconds:.0f} s, {given.processes} processes on PostgreSQL and Redis")
        (folder / "storm").mkdir()
        return await storm(folder / "storm", given, database=database, redis=redis) and right


def main() -> None:
    """Exit code 1 when a count is not what it must be."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trainings", type=int, default=50)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--processes", type=int, default=4, help="two of them serve, the others only work")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--skip-sweep", action="store_true")
    configure_logging()
    with tempfile.TemporaryDirectory(prefix="likeness-reliability-") as name:
        right = asyncio.run(measure(Path(name), options.parse_args()))
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
