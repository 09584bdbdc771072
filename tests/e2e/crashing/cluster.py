"""Several processes on one PostgreSQL and one Redis, and who of them works on what."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import jwt
import psycopg

from likeness.db import migrate
from tests.e2e.crashing.caller import Caller
from tests.e2e.crashing.process import Process, running, serving, working

OWNERS = "SELECT workflow_uuid, executor_id FROM dbos.workflow_status WHERE status = 'PENDING'"
BEATS = "SELECT id, beat_at FROM executors"


@dataclass
class Cluster:
    """Servers and workers, with one user; every process shares the folder, as on one machine."""

    folder: Path
    database_url: str
    redis_url: str
    environ: dict[str, object] = field(default_factory=dict)
    secret: str = field(default_factory=lambda: secrets.token_hex(32))

    def __post_init__(self) -> None:
        self.environ = self.environ | {
            "DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url, "JWT_SECRET": self.secret,
        }  # fmt: skip

    def server(self, name: str, **environ: object) -> Process:
        """A process that serves and works."""
        return serving(self.folder, name=name, **(self.environ | environ))

    def worker(self, name: str) -> Process:
        """A process that works."""
        return working(self.folder, name=name, **self.environ)

    def caller(self, server: Process, subject: str = "somebody") -> Caller:
        """A user at one of the servers, signed in with a token."""
        token = jwt.encode({"sub": subject, "exp": 4_000_000_000}, self.secret, algorithm="HS256")
        return Caller(url=server.url, token=token)

    @asynccontextmanager
    async def running(self, *processes: Process) -> AsyncIterator[None]:
        """Migrate once, then start them together."""
        await migrate(self.database_url)
        async with running(*processes):
            yield

    async def owners(self) -> dict[str, str]:
        """Which executor works on which run, by the job's id as the API shows it."""
        rows = await self._rows(OWNERS)
        return {base64.b64encode(run.capitalize().encode()).decode(): executor for run, executor in rows if executor}

    async def beats(self) -> dict[str, Any]:
        """When each executor was last alive."""
        return dict(await self._rows(BEATS))

    async def owned_by(self, process: Process) -> set[str]:
        """The jobs that a process works on."""
        return {job for job, executor in (await self.owners()).items() if is_of(executor, process)}

    async def _rows(self, query: str) -> Sequence[tuple[Any, ...]]:
        return await asyncio.to_thread(self._read, query)

    def _read(self, query: str) -> Sequence[tuple[Any, ...]]:
        with psycopg.connect(self.database_url.replace("postgres://", "postgresql://", 1)) as connection:
            return connection.execute(query).fetchall()


def is_of(executor: str, process: Process) -> bool:
    """Whether an executor's id (`<host>-<pid>-<random>`) is that of a process."""
    return executor.rpartition("-")[0].endswith(f"-{process.pid}")


class Wire:
    """A TCP proxy before a service, which can be cut and mended, or fall silent: the service is away meanwhile."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent = False
        self._dead: set[asyncio.StreamWriter] = set()
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def before(cls, url: str) -> AsyncIterator[Self]:
        """A wire to the PostgreSQL at `url`, which is cut in the end."""
        address = urlsplit(url)
        wire = cls(address.hostname or "127.0.0.1", address.port or 5432)
        await wire.mend()
        try:
            yield wire
        finally:
            await wire.cut()

    def over(self, url: str) -> str:
        """The same address, reached over the wire."""
        address = urlsplit(url)
        user = f"{address.netloc.rpartition('@')[0]}@" if "@" in address.netloc else ""
        return address._replace(netloc=f"{user}127.0.0.1:{self.port}").geturl()

    async def mend(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writers.clear()

    def fall_silent(self) -> None:
        """Swallow whatever comes: every connection is open, and dead."""
        self._silent = True
        self._dead |= self._writers

    def speak_again(self) -> None:
        """Let new connections work; those that were dead stay dead."""
        self._silent = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        if self._silent:
            self._dead |= {writer, back}
        await asyncio.gather(self._pass_on(reader, back), self._answer(there, writer))
        self._writers -= {writer, back}

    async def _answer(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        await self._pass_on(source, to)

    async def _pass_on(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if to not in self._dead:
                    to.write(data)
                    await to.drain()
        to.close()
