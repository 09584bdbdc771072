"""Followers while PostgreSQL is away: they wait and miss nothing, and end when nobody is there any more."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import pytest
import stamina
from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

from models.ids import new_id
from models.status import TrainingStatus
from models.training import TrainingEvent
from services.events import Feed
from tests.fakes import FakeBus
from tests.lost_wire import LosingWire
from tests.service import rows


@pytest.fixture
def failed() -> Iterator[asyncio.Event]:
    """Set when a read has failed and will be tried again."""
    event = asyncio.Event()

    @contextmanager
    def note(details: stamina.instrumentation.RetryDetails) -> Iterator[None]:
        event.set()
        yield

    before = get_on_retry_hooks()
    set_on_retry_hooks([note])
    yield event
    set_on_retry_hooks(before)


def feed(bus: FakeBus, model: Any = TrainingEvent) -> Feed[TrainingEvent]:
    """The events of trainings."""
    return Feed(bus=bus, model=model, job_column="training_id")


async def collected(stream: AsyncGenerator[TrainingEvent, None]) -> list[int]:
    """The numbers of all the events that come."""
    async with aclosing(stream):
        return [event.seq async for event in stream]


async def new_job() -> Any:
    """The id of a training with its first event."""
    training = await rows.training((await rows.user()).id)
    await rows.training_event(training.id, seq=1, status=TrainingStatus.PENDING)
    return training.id


async def test_an_outage(wire: LosingWire, bus: FakeBus, failed: asyncio.Event) -> None:
    """What happened meanwhile is given afterwards, each event once."""
    job = await new_job()
    stream = feed(bus).follow(job)
    assert 1 == (await anext(stream)).seq
    following = asyncio.create_task(collected(stream))
    await wire.cut()
    await asyncio.wait_for(failed.wait(), 10)
    await wire.mend()
    for seq, status in [(2, TrainingStatus.TRAINING), (3, TrainingStatus.COMPLETED)]:
        await rows.training_event(job, seq=seq, status=status)
    assert [2, 3] == await asyncio.wait_for(following, 20)
    assert {} == bus.listeners


async def test_leaving_in_an_outage(wire: LosingWire, bus: FakeBus, failed: asyncio.Event) -> None:
    """Nobody waits for the database any more, and nobody listens."""
    stream = feed(bus).follow(await new_job())
    await anext(stream)
    following = asyncio.create_task(collected(stream))
    await wire.cut()
    await asyncio.wait_for(failed.wait(), 10)
    following.cancel()
    await asyncio.wait({following}, timeout=5)
    assert following.cancelled()
    assert {} == bus.listeners


class Deaf:
    """Rows whose reading answers a cancellation with another error, as a driver may that loses its connection."""

    def __init__(self) -> None:
        self.reading = asyncio.Event()

    def filter(self, **conditions: object) -> "Deaf":
        return self

    order_by = limit = lambda self, *what: self

    async def first(self) -> TrainingEvent:
        return TrainingEvent(id=new_id(), seq=1, status=TrainingStatus.PENDING)

    def __await__(self) -> Any:
        return self._read().__await__()

    async def _read(self) -> list[TrainingEvent]:
        self.reading.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError from None
        return []


async def test_a_driver_that_hides_the_leaving(bus: FakeBus) -> None:
    """The follower ends all the same."""
    model = Deaf()
    following = asyncio.create_task(collected(feed(bus, model).follow(new_id())))
    await asyncio.wait_for(model.reading.wait(), 5)
    following.cancel()
    await asyncio.wait({following}, timeout=5)
    assert isinstance(following.exception(), OSError)
    assert {} == bus.listeners
