"""A PostgreSQL whose connections stay open and say nothing more: nobody waits for ever, and dead ones are replaced."""

import asyncio
from time import monotonic

import pytest

from likeness import db
from models.executor import Executor
from services import health, presence
from services.database import DATABASE_ERRORS
from services.health import database_works
from services.presence import Presence
from tests.e2e.crashing.caller import until
from tests.fakes import FakeJobs, FixedClock
from tests.lost_wire import COMMITTED, LosingWire

CONNECTIONS = 5
SHORT = 0.4


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> float:
    """How long a statement, and a new connection, may take; before the wire is connected."""
    monkeypatch.setattr(db, "STATEMENT_SECONDS", SHORT)
    monkeypatch.setattr(db, "CONNECT_SECONDS", SHORT)
    return SHORT


async def ask(count: int) -> list[str]:
    """The answers of so many queries at once, or that there is none."""

    async def one() -> str:
        try:
            await Executor.all().count()
        except DATABASE_ERRORS as error:
            return type(error).__name__
        return "answer"

    return await asyncio.gather(*(one() for _ in range(count)))


async def test_dead_connections_are_thrown_away(seconds: float, wire: LosingWire) -> None:
    """Each costs one query; afterwards all of them are new, and work."""
    assert ["answer"] * CONNECTIONS == await ask(CONNECTIONS)
    wire.fall_silent()
    wire.speak_again()
    assert ["TimeoutError"] * CONNECTIONS == await ask(CONNECTIONS)
    assert ["answer"] * 2 * CONNECTIONS == await ask(2 * CONNECTIONS)


async def test_while_it_is_silent(seconds: float, wire: LosingWire) -> None:
    """Every query ends, those that wait for a connection too, and no new connection is waited for without end."""
    wire.fall_silent()
    begin = monotonic()
    assert ["TimeoutError"] * (CONNECTIONS + 1) == await ask(CONNECTIONS + 1)
    assert monotonic() - begin < 20 * seconds


async def test_the_question_whether_it_works(seconds: float, wire: LosingWire, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered in time, although the query takes longer to give up."""
    monkeypatch.setattr(health, "PATIENCE_SECONDS", SHORT / 3)
    assert await database_works()
    wire.fall_silent()
    begin = monotonic()
    assert not await database_works()
    assert monotonic() - begin < seconds


async def test_a_lost_beat(wire: LosingWire, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is cut within a beat does not end the beating."""
    monkeypatch.setattr(presence, "BEAT_SECONDS", 0.01)
    process = Presence(clock=FixedClock(), jobs=FakeJobs(), executor="me")
    wire.hold = COMMITTED
    beating = asyncio.create_task(process.beat_forever())
    await asyncio.wait_for(wire.held.wait(), 10)
    await cut(wire)
    await Executor.all().delete()
    assert await until(Executor.all().count, seconds=10)
    assert not beating.done()
    beating.cancel()


async def cut(wire: LosingWire) -> None:
    """Break every connection; new ones work at once."""
    wire.let_go.set()
    await wire.cut()
    await wire.mend()
