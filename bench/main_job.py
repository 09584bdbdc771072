"""The main job with 20 photos of about 10 MiB, measured against its limits: memory, event loop, answer times.

Run it with `.venv/bin/python bench/main_job.py [--megapixels 12|24]`; bench/README.md says how to read it.
"""

import argparse
import asyncio
import json
import math
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from likeness.cli.child_server import running_server  # noqa: E402
from likeness.client.api import Client  # noqa: E402
from likeness.observability import configure_logging  # noqa: E402
from likeness.settings import Settings  # noqa: E402

COUNT, STARTS, PING_SECONDS = 20, 20, 0.02
SHAPES = {12: (4000, 3000, 89), 24: (6000, 4000, 54)}  # width, height, JPEG quality: just under 10 MiB
PEAK_MB, BLOCK_MS, START_MS = 250, 100, 200  # the limits
SETTINGS = {"FAL_MODE": "sandbox", "SANDBOX_SPEED": "600", "FAL_POLL_SECONDS": "1", "DAILY_CREDITS": "1000000"}
STACK_SECONDS = 0.3
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Phase:
    """What happened from one moment to another; times are Unix seconds, `cpu` the server's seconds."""

    name: str
    begin: float
    end: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0


@dataclass
class Process:
    """The server's process as the kernel sees it."""

    probe: Path
    phases: list[Phase] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return Path("/proc") / self.probe.with_suffix(".pid").read_text()

    def cpu(self) -> float:
        """Seconds of CPU so far, of all threads."""
        fields = (self.folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_mb(self) -> float:
        """The most memory it ever had resident, in MB (10^6 bytes)."""
        lines = (self.folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))

    @asynccontextmanager
    async def phase(self, name: str) -> AsyncIterator[None]:
        """Measure the block."""
        before, begin = self.cpu(), time.time()
        yield
        phase = Phase(name, begin, time.time(), self.cpu() - before, self.peak_mb())
        self.phases.append(phase)
        print(f"  {name}: {phase.end - begin:.1f} s", flush=True)


def draw(folder: Path, megapixels: int) -> None:
    """Write the photos: noise, because it neither compresses nor repeats."""
    from tests.photos import noisy_jpeg

    width, height, quality = SHAPES[megapixels]
    for seed in range(COUNT):
        (folder / f"large{seed:02}.jpg").write_bytes(noisy_jpeg(width, height, seed=seed, quality=quality))
        (folder / f"small{seed:02}.jpg").write_bytes(noisy_jpeg(640, 640, seed=seed))


def ping(url: str) -> None:
    """Ask /healthz every 20 ms on one connection until stdin closes; print [Unix time, milliseconds] of each."""
    parts, answers = urlsplit(url), []
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=30)
    while not select.select([sys.stdin], [], [], PING_SECONDS)[0]:  # readable once its other end is closed
        begin = time.monotonic()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        answers.append((time.time(), (time.monotonic() - begin) * 1000))
    print(json.dumps(answers))


async def job(client: Client, folder: Path, process: Process) -> list[float]:
    """The main job in phases, then 20 times startTraining; their times in milliseconds."""
    large = sorted(folder.glob("large*.jpg"))
    async with process.phase("upload"):
        photos = await client.upload_photos(large)
    async with process.phase("the same files again"):
        await client.upload_photos(large)
    async with process.phase("training"):
        training = await client.start_training("Bench", [photo["id"] for photo in photos])
        async for _ in client.follow_training(training["id"], after_seq=0):
            pass
    training = await client.training(training["id"])
    assert training["status"] == "COMPLETED", training
    async with process.phase("image"):
        generation = (await client.generate("portrait", training["model"]["id"]))[0]
        async for _ in client.follow_generation(generation["id"], after_seq=0):
            pass
    assert (await client.generation(generation["id"]))["status"] == "COMPLETED"
    small = await client.upload_photos(sorted(folder.glob("small*.jpg")))
    async with process.phase("20 x startTraining"):
        return [await _start(client, small) for _ in range(STARTS)]


async def _start(client: Client, photos: list[dict[str, Any]]) -> float:
    begin = time.monotonic()
    await client.start_training("Bench", [photo["id"] for photo in photos])
    return (time.monotonic() - begin) * 1000


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that this part of the values does not exceed; 0 for none."""
    return sorted(values)[math.ceil(len(values) * part) - 1] if values else 0.0


def print_phases(phases: list[Phase], samples: list[list[float]], answers: list[list[float]]) -> None:
    """One line a phase."""
    head = ("", "seconds", "CPU s", "peak MB", "loop p99", "max", "of it own", "/healthz p99", "max")
    print("\n{:22}{:>8}{:>8}{:>9}{:>10}{:>8}{:>11}{:>14}{:>8}".format(*head) + "   (ms)")
    for phase in phases:
        loop = [row for row in samples if phase.begin <= row[0] <= phase.end]
        late, worst = [row[1] for row in loop], max(loop, key=lambda row: row[1], default=[0.0] * 4)
        pings = [row[1] for row in answers if phase.begin <= row[0] <= phase.end]
        print(
            f"{phase.name:22}{phase.end - phase.begin:8.1f}{phase.cpu:8.1f}{phase.peak_mb:9.0f}"
            f"{percentile(late, 0.99):10.1f}{worst[1]:8.1f}{worst[2]:11.1f}"
            f"{percentile(pings, 0.99):14.1f}{max(pings, default=0.0):8.1f}"
        )


def print_limits(phases: list[Phase], samples: list[list[float]], starts: list[float], sent: int) -> None:
    """The figures that have a limit, and what a request of files costs."""
    begin = phases[0].begin
    blocks = [row for row in samples if row[0] >= begin]
    worst = max(blocks, key=lambda row: row[1])
    rows = [
        ("peak memory of the server, MB", phases[-1].peak_mb, PEAK_MB),
        ("longest block of the event loop, ms", worst[1], BLOCK_MS),
        ("startTraining, p50, ms", statistics.median(starts), START_MS),
        ("startTraining, p95, ms", percentile(starts, 0.95), START_MS),
        ("startTraining, slowest, ms", max(starts), START_MS),
    ]
    print()
    for name, value, limit in rows:
        print(f"{name:38}{value:8.1f}   limit {limit:4}   {'ok' if value < limit else 'BROKEN'}")
    print(f"{'receiving files, CPU s/GB':38}{phases[1].cpu / sent * 1e9:8.1f}   (request to disk, and SHA-256)")


def print_stacks(report: dict[str, Any], begin: float) -> None:
    """Where the loop stood while it was blocked."""
    for at, stack in report["stacks"]:
        # Whoever holds the interpreter's lock (a garbage collection) stops the watching thread too.
        near = [row for row in report["samples"] if abs(row[0] - at) < STACK_SECONDS]
        if at >= begin and near:
            late = max(near, key=lambda row: row[1])
            print(f"\nblocked {late[1]:.0f} ms (its own thread computed {late[2]:.0f}, the process {late[3]:.0f}):")
            print("  " + "\n  ".join(stack[-6:]))


def read_probe(file: Path) -> dict[str, Any]:
    """What the probe wrote, in one."""
    parts = [json.loads(line) for line in file.read_text().splitlines()]
    return {name: [row for part in parts for row in part[name]] for name in ("samples", "stacks")}


async def measure(folder: Path) -> None:
    """Start the server, do the job beside a client that pings, print the tables."""
    configure_logging()
    probe, ours = folder / "probe.json", {name.upper() for name in Settings.model_fields} | {"FAL_API_KEY"}
    environ = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    environ |= SETTINGS | {"DATA_DIR": str(folder / "data"), "LOOP_PROBE": str(probe)}
    environ["PYTHONPATH"] = str(ROOT / "bench" / "loop_probe")
    process = Process(probe)
    async with running_server(environ=environ, log=folder / "run" / "server.log") as server:
        command = [sys.executable, __file__, "--ping", server.url]
        pinger = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            async with Client(server.url) as client:
                starts = await server.during(job(client, folder, process))
                await asyncio.sleep(2)  # the probe writes once a second
        finally:
            answers = (await asyncio.to_thread(pinger.communicate))[0]
    report = read_probe(probe)
    print_phases(process.phases, report["samples"], json.loads(answers))
    sent = sum(photo.stat().st_size for photo in folder.glob("large*.jpg"))
    print_limits(process.phases, report["samples"], starts, sent)
    print_stacks(report, process.phases[0].begin)


def main() -> None:
    """Draw the photos in a process of their own, then measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--megapixels", type=int, choices=SHAPES, default=12)
    options.add_argument("--draw", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--ping", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.ping:
        ping(given.ping)
    elif given.draw:
        draw(given.draw, given.megapixels)
    else:
        with tempfile.TemporaryDirectory() as name:
            command = [sys.executable, __file__, "--draw", name, "--megapixels", str(given.megapixels)]
            subprocess.run(command, check=True)
            photos = [photo.stat().st_size for photo in Path(name).glob("large*.jpg")]
            print(f"{len(photos)} photos of {given.megapixels} Mpx, {statistics.mean(photos) / 2**20:.2f} MiB each")
            asyncio.run(measure(Path(name)))


if __name__ == "__main__":
    main()
