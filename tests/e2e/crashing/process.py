"""Processes of ours that are killed, stopped and started again at will."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.e2e.conftest import foreign_environ, free_port

START_SECONDS = 90
LOOK_SECONDS = 0.05


@dataclass
class Process:
    """`python -m <command>`; one that serves has a port, and a worker says that it is ready."""

    command: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    port: int | None = None
    starts: int = field(default=0, init=False)
    popen: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _logged: int = field(default=0, init=False)  # bytes of the log that are of earlier starts

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.popen is not None
        return self.popen.pid

    def launch(self) -> None:
        """Start it, without waiting."""
        with self.log.open("ab") as output:
            # Not in the checkout, where a .env might name a real provider.
            self.popen = subprocess.Popen(
                [sys.executable, "-m", *self.command],
                env=self.environ,
                cwd=self.log.parent,
                stdout=output,
                stderr=output,
            )
        self.starts += 1

    async def start(self) -> None:
        """Start it and wait until it can work."""
        self.launch()
        await self.ready()

    async def ready(self) -> None:
        """Wait until it can work."""
        async with asyncio.timeout(START_SECONDS):
            while not await self._is_ready():
                await asyncio.sleep(LOOK_SECONDS)

    def send(self, number: signal.Signals) -> None:
        """SIGKILL, SIGSTOP, SIGCONT, SIGTERM."""
        assert self.popen is not None
        self.popen.send_signal(number)

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.send(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> None:
        """SIGTERM, and kill -9 when that is not enough."""
        if self.popen is None:
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            await asyncio.to_thread(self.popen.wait, 20)
        except subprocess.TimeoutExpired:
            await self.kill()

    async def ended(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        assert self.popen is not None
        return await asyncio.to_thread(self.popen.wait)

    async def revive(self) -> None:
        """Start it again whenever somebody killed it with SIGKILL; ends with any other end."""
        while await self.ended() == -signal.SIGKILL:
            self.launch()

    async def _is_ready(self) -> bool:
        assert self.popen is not None
        assert self.popen.poll() in {None, -signal.SIGKILL}, f"{self.command} ended:\n{self.log.read_text()}"
        if self.port is None:
            return b"worker ready" in self.log.read_bytes()[self._logged :]
        return await ready_code(self.url) == 200


async def ready_code(url: str) -> int | None:
    """What /readyz answers; None when nobody does."""
    with suppress(httpx.TransportError):
        # Asked ten times a second: reading the certificates, which nobody needs here, takes 30 ms each time.
        async with httpx.AsyncClient(trust_env=False, timeout=20, verify=False) as client:
            return (await client.get(f"{url}/readyz")).status_code
    return None


def serving(folder: Path, *command: str, name: str = "server", **environ: object) -> Process:
    """A process that serves on a free port, with its data in `folder/data`; not started yet."""
    port = free_port()
    variables = surroundings(folder, PORT=port, **environ)
    return Process(command=command or ("likeness", "serve"), environ=variables, log=folder / f"{name}.log", port=port)


def working(folder: Path, *, name: str = "worker", **environ: object) -> Process:
    """A process that only works."""
    return Process(command=("likeness", "worker"), environ=surroundings(folder, **environ), log=folder / f"{name}.log")


def surroundings(folder: Path, **environ: object) -> dict[str, str]:
    """The environment of a process whose photos may be tiny and whose users are rich."""
    facts: dict[str, object] = {
        "DATA_DIR": folder / "data", "FAL_MODE": "sandbox", "SANDBOX_SPEED": 600, "FAL_POLL_SECONDS": 0.5,
        "MIN_PHOTOS": 1, "MIN_PHOTO_SIDE": 1, "DAILY_CREDITS": 1_000_000,
    }  # fmt: skip
    return foreign_environ() | {name: str(value) for name, value in (facts | environ).items()}


@asynccontextmanager
async def running(*processes: Process) -> AsyncIterator[None]:
    """Start them together; afterwards they are stopped, and in a test their logs printed, to be shown when it fails."""
    for process in processes:
        process.launch()
    try:
        await asyncio.gather(*(process.ready() for process in processes))
        yield
    finally:
        await asyncio.gather(*(process.stop() for process in processes))
        for process in processes if "PYTEST_CURRENT_TEST" in os.environ else ():
            text = process.log.read_text(errors="replace")
            sys.stdout.write(f"--- {process.log.name} ---\n{text[-20_000:]}\n")
