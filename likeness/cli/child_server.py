"""A likeness server as a child process, for commands that need one of their own."""

import asyncio
import os
import random
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import stamina

import likeness
from likeness.cli.reach import Exit, Failure

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
_LAST_LINES: Final = 15
# Below the ports that systems give to outgoing connections, so that none of those can take it before the server does.
_PORTS: Final = (20000, 30000)

Result = TypeVar("Result")


class ChildServer:
    """A running server; it ends with the context of `running_server`."""

    def __init__(self, process: asyncio.subprocess.Process, *, url: str, log: Path) -> None:
        self.url = url
        self._process = process
        self._log = log

    async def during(self, job: Coroutine[Any, Any, Result]) -> Result:
        """Run `job` while the server lives. Raises `Failure` with the server's last lines when it dies first."""
        task, end = asyncio.create_task(job), asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait({task, end}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Failure(self._obituary(f"The server ended with code {end.result()}"), exit_code=Exit.UNREACHABLE)
        finally:
            for open_task in (task, end):
                open_task.cancel()
            await asyncio.gather(task, end, return_exceptions=True)

    async def ready(self) -> None:
        """Return once /readyz answers 200. Raises `Failure` after a minute."""
        waits = stamina.retry_context(
            on=httpx.HTTPError, attempts=None, timeout=START_SECONDS, wait_initial=0.1, wait_max=0.5, wait_jitter=0.0
        )
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
                async for attempt in waits:
                    with attempt:
                        (await client.get(f"{self.url}/readyz")).raise_for_status()
        except httpx.HTTPError as error:
            text = self._obituary(f"The server was not ready after {START_SECONDS:.0f} s")
            raise Failure(text, exit_code=Exit.UNREACHABLE) from error

    async def stop(self) -> None:
        """Ask it to end, and kill it when it does not."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _obituary(self, sentence: str) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n  ".join([f"{sentence}; its last lines, from {self._log}:", *lines])


@asynccontextmanager
async def running_server(*, environ: Mapping[str, str], log: Path) -> AsyncIterator[ChildServer]:
    """Start `python -m likeness serve` on a free port of 127.0.0.1 with these variables, and wait until it is ready.

    It works in the folder of the file `log`, which takes its output, stays in our process group, and is stopped in
    every case. Raises `Failure`.
    """
    port = free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    search = os.pathsep.join(filter(None, [str(Path(likeness.__file__).parents[1]), environ.get("PYTHONPATH")]))
    variables = {**environ, "HOST": "127.0.0.1", "PORT": str(port), "PYTHONPATH": search}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "likeness", "serve", env=variables, cwd=log.parent, stdout=output, stderr=output,
            stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    server = ChildServer(process, url=f"http://127.0.0.1:{port}", log=log)
    try:
        await server.during(server.ready())
        yield server
    finally:
        await server.stop()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on. Raises `Failure` when none of a hundred is free."""
    for port in random.sample(range(*_PORTS), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise Failure("No free port was found for the server.", exit_code=Exit.UNREACHABLE)
