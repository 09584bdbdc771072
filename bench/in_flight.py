"""What thousands of trainings in flight cost one process: CPU and memory, with and without watchers.

Run it with `.venv/bin/python bench/in_flight.py [--trainings 2000] [--watchers 2000] [--seconds 30]`.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from likeness.observability import configure_logging  # noqa: E402
from tests.e2e import main_job  # noqa: E402
from tests.e2e.crashing.caller import Caller, draw_photos  # noqa: E402
from tests.e2e.crashing.process import Process, running, serving  # noqa: E402
from tests.e2e.crashing.sweep import submitted  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
AT_ONCE = 8
PER_SOCKET = 40  # a server takes 50 operations on one websocket
STEPS = 5000  # half an hour at the provider: nobody ends while we look
WATCH = "subscription ($id: ID!) { trainingProgress(trainingId: $id) { seq status percent message } }"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """CPU in percent of one core, memory in MB (10^6 bytes), and what a neighbour waits for /healthz in ms."""

    cpu: float
    megabytes: float
    threads: int
    healthz: float


def cpu_seconds(process: Process) -> float:
    """Seconds of CPU so far, of all threads."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def status(process: Process, name: str) -> int:
    """A number of /proc/<pid>/status."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


async def cost(process: Process, seconds: float) -> Cost:
    """What the process uses over the next seconds."""
    before, begin, waits = cpu_seconds(process), time.monotonic(), []
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        while time.monotonic() < begin + seconds:
            asked = time.monotonic()
            await client.get(f"{process.url}/healthz")
            waits.append((time.monotonic() - asked) * 1000)
            await asyncio.sleep(0.2)
    return Cost(
        cpu=100 * (cpu_seconds(process) - before) / (time.monotonic() - begin),
        megabytes=status(process, "VmRSS") * 1024 / 1e6,
        threads=status(process, "Threads"),
        healthz=sorted(waits)[int(len(waits) * 0.95)],
    )


async def start(caller: Caller, photos: list[str], count: int) -> list[str]:
    """Start trainings, a few at once, over one connection; their ids."""
    numbers, ids = iter(range(count)), list[str]()
    headers = {"graphql-require-preflight": "1"}
    async with httpx.AsyncClient(base_url=caller.url, headers=headers, trust_env=False, timeout=120) as client:

        async def some() -> None:
            for number in numbers:
                wanted = {"modelName": "Me", "photoIds": photos, "idempotencyKey": f"key {number}", "steps": STEPS}
                body = {"query": main_job.START, "variables": {"input": wanted}}
                payload = (await client.post("/graphql", json=body)).json()["data"]["startTraining"]
                assert payload["userErrors"] == [], payload
                ids.append(payload["training"]["id"])

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return ids


async def watch(url: str, ids: Sequence[str], seen: list[int]) -> None:
    """Watch many trainings over one websocket, as one page with all of them would; counts the events."""
    address = f"ws{url.removeprefix('http')}/graphql"
    async with connect(
        address, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None, max_size=None
    ) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.recv()
        for number, id in enumerate(ids):
            payload = {"query": WATCH, "variables": {"id": id}}
            await socket.send(json.dumps({"id": str(number), "type": "subscribe", "payload": payload}))
        async for message in socket:
            answer: dict[str, Any] = json.loads(message)
            assert answer["type"] in {"next", "ping"}, answer
            seen[0] += answer["type"] == "next"


async def measure(folder: Path, given: argparse.Namespace) -> None:
    """Idle, in flight, in flight and watched."""
    server = serving(folder, SANDBOX_SPEED=1, FAL_POLL_SECONDS=5, DAILY_CREDITS=10**9)
    caller = Caller(url=server.url)
    print(f"{given.trainings} trainings in one process, embedded (SQLite, and the sandbox in the same process)")
    async with running(server):
        photos = await caller.upload(draw_photos(folder, 1))
        show("idle", await cost(server, given.seconds / 3))
        begin, used = time.monotonic(), cpu_seconds(server)
        ids = await start(caller, photos, given.trainings)
        print(f"  accepted after {time.monotonic() - begin:.1f} s", flush=True)
        while len(submitted(folder / "data")) < given.trainings:
            await asyncio.sleep(1)
        took, used = time.monotonic() - begin, cpu_seconds(server) - used
        print(f"  all at the provider after {took:.1f} s, {used:.1f} s of CPU", flush=True)
        show(f"{given.trainings} in flight, nobody watches", await cost(server, given.seconds))
        seen = [0]
        shares = [ids[first : first + PER_SOCKET] for first in range(0, given.watchers, PER_SOCKET)]
        watching = [asyncio.create_task(watch(server.url, share, seen)) for share in shares]
        while seen[0] < given.watchers:  # everybody has the newest event
            for task in watching:
                if task.done():
                    task.result()
            await asyncio.sleep(0.2)
        first = seen[0]
        show(f"{given.watchers} of them watched", await cost(server, given.seconds))
        print(f"  {(seen[0] - first) / given.seconds:.0f} events a second reached the watchers")
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


def show(name: str, found: Cost) -> None:
    """One line."""
    print(
        f"  {name:36}{found.cpu:6.1f} % of a core, {found.megabytes:5.0f} MB, {found.threads:3} threads,"
        f" /healthz p95 {found.healthz:.1f} ms",
        flush=True,
    )


def main() -> None:
    """Start one server in a folder of its own and measure it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trainings", type=int, default=2000)
    options.add_argument("--watchers", type=int, default=2000, help="subscriptions")
    options.add_argument("--seconds", type=float, default=30, help="how long each state is watched")
    configure_logging()
    with tempfile.TemporaryDirectory(prefix="likeness-in-flight-") as name:
        asyncio.run(measure(Path(name), options.parse_args()))


if __name__ == "__main__":
    main()
