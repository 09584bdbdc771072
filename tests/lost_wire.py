"""A PostgreSQL that goes away: its connections are cut, or an answer of it is lost or late."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from likeness.db import connected
from tests.e2e.crashing.cluster import Wire

# How PostgreSQL says that a row is written, and that all is committed (protocol 3.0, CommandComplete).
INSERTED, COMMITTED = b"INSERT 0 1\0", b"COMMIT\0"


class LosingWire(Wire):
    """A wire on which the first answer with `lose` in it is lost, with its connection, or one with `hold` waits."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.lose: bytes | None = None
        self.hold: bytes | None = None
        self.held = asyncio.Event()
        self.let_go = asyncio.Event()

    async def _answer(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if self.lose is not None and self.lose in data:
                    self.lose = None
                    to.transport.abort()
                    return
                if self.hold is not None and self.hold in data:
                    self.hold = None
                    self.held.set()
                    await self.let_go.wait()
                if to not in self._dead:
                    to.write(data)
                    await to.drain()
        to.close()


@asynccontextmanager
async def connected_by_wire(url: str) -> AsyncIterator[LosingWire]:
    """The PostgreSQL at `url`, opened for this process over a wire."""
    async with LosingWire.before(url) as wire, connected(wire.over(url)):
        try:
            yield wire
        finally:
            wire.let_go.set()


@pytest.fixture
async def wire(postgres_database_url: str) -> AsyncIterator[LosingWire]:
    """What leads to the database of a test."""
    async with connected_by_wire(postgres_database_url) as wire:
        yield wire


def then(call: Callable[..., Awaitable[Any]], after: Callable[[], Awaitable[None]]) -> Callable[..., Awaitable[Any]]:
    """The same call, and right after it something else."""

    async def both(*args: Any, **options: Any) -> Any:
        result = await call(*args, **options)
        await after()
        return result

    return both
