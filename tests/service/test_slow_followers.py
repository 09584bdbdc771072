"""Followers that are far behind, or come and go: the newest state and how many were missed; else every event once."""

import random
from contextlib import aclosing
from uuid import UUID

import pytest

from models.status import TrainingStatus
from models.training import TrainingEvent
from services import events
from services.events import FAR_BEHIND, Feed, missed_before, publish
from services.gateways.bus_memory import BACKLOG, MemoryBus
from tests.fakes import NOON
from tests.service import rows

DISCONNECTS = 1000


async def new_training() -> UUID:
    """A training without events."""
    return (await rows.training((await rows.user()).id)).id


async def happen(bus: MemoryBus, training: UUID, *, first: int, last: int, end: str | None = None) -> None:
    """Write and publish the events `first` to `last`, the last of them final when `end` says so."""
    written = [
        TrainingEvent(
            training_id=training, seq=seq, percent=seq / 100, message=f"step {seq}", at=NOON,
            status=TrainingStatus(end if end and seq == last else "TRAINING"),
        )
        for seq in range(first, last + 1)
    ]  # fmt: skip
    await TrainingEvent.bulk_create(written)
    for event in written:
        await publish(bus, event)


def feed(bus: MemoryBus) -> Feed[TrainingEvent]:
    """The feed of trainings."""
    return Feed(bus=bus, model=TrainingEvent, job_column="training_id")


@pytest.mark.parametrize("behind", [1, BACKLOG, BACKLOG + 1, FAR_BEHIND])
async def test_a_little_behind(database: str, *, behind: int) -> None:
    """Up to 100 events are made up for one by one."""
    bus, training = MemoryBus(), await new_training()
    await happen(bus, training, first=1, last=1)
    async with aclosing(feed(bus).follow(training)) as stream:
        await anext(stream)
        await happen(bus, training, first=2, last=1 + behind, end="COMPLETED")
        seen = [event async for event in stream]
    assert list(range(2, 2 + behind)) == [event.seq for event in seen]
    assert {0} == {missed_before(event) for event in seen}


async def test_far_behind(database: str) -> None:
    """More than 100 are left out but the newest, which says how many they were; then it goes on as before."""
    bus, training = MemoryBus(), await new_training()
    await happen(bus, training, first=1, last=1)
    async with aclosing(feed(bus).follow(training)) as stream:
        await anext(stream)
        await happen(bus, training, first=2, last=2 + FAR_BEHIND)
        newest = await anext(stream)
        await happen(bus, training, first=3 + FAR_BEHIND, last=5 + FAR_BEHIND, end="FAILED")
        rest = [(event.seq, missed_before(event)) async for event in stream]
    assert (2 + FAR_BEHIND, FAR_BEHIND) == (newest.seq, missed_before(newest))
    assert [(seq, 0) for seq in range(3 + FAR_BEHIND, 6 + FAR_BEHIND)] == rest


@pytest.mark.parametrize("end", ["COMPLETED", "FAILED", "CANCELLED"])
async def test_the_end_is_never_left_out(database: str, *, end: str) -> None:
    """Who is far behind when the job ends is told the end."""
    bus, training = MemoryBus(), await new_training()
    await happen(bus, training, first=1, last=1)
    async with aclosing(feed(bus).follow(training)) as stream:
        await anext(stream)
        await happen(bus, training, first=2, last=500, end=end)
        rest = [(event.seq, event.status, missed_before(event)) async for event in stream]
    assert [(500, end, 498)] == rest
    assert [] == list(bus.topics)


@pytest.mark.parametrize("after", [0, 7, 99, 100, 249])
async def test_what_was_asked_for_is_never_left_out(database: str, *, after: int) -> None:
    """`after_seq` gives every stored event, however many there are, also when more come meanwhile."""
    bus, training = MemoryBus(), await new_training()
    await happen(bus, training, first=1, last=250)
    async with aclosing(feed(bus).follow(training, after_seq=after)) as stream:
        seen = [await anext(stream)]
        await happen(bus, training, first=251, last=300, end="COMPLETED")
        seen += [event async for event in stream]
    assert list(range(after + 1, 301)) == [event.seq for event in seen]
    assert {0} == {missed_before(event) for event in seen}


async def test_rows_are_read_in_pages(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long history is never in memory as a whole; the end comes once, also when it lies on a page's edge."""
    monkeypatch.setattr(events, "FAR_BEHIND", 5)
    for total in (9, 10, 11):
        bus, training = MemoryBus(), await new_training()
        await happen(bus, training, first=1, last=total, end="COMPLETED")
        async with aclosing(feed(bus).follow(training, after_seq=0)) as stream:
            assert list(range(1, total + 1)) == [event.seq async for event in stream]


async def test_a_thousand_disconnects(database: str) -> None:
    """Whoever comes back with the number of the last event seen gets 1 to n, no gap, no double, and the end."""
    chance, bus, training = random.Random(20), MemoryBus(), await new_training()
    await happen(bus, training, first=1, last=1)
    written, seen, disconnects = 1, [0], 0
    while disconnects < DISCONNECTS:
        async with aclosing(feed(bus).follow(training, after_seq=seen[-1])) as stream:
            for _ in range(chance.randrange(4)):
                if seen[-1] == written or chance.random() < 0.4:
                    more = chance.randrange(1, 4)
                    await happen(bus, training, first=written + 1, last=written + more)
                    written += more
                seen.append((await anext(stream)).seq)
        disconnects += 1
    await happen(bus, training, first=written + 1, last=written + 1, end="COMPLETED")
    async with aclosing(feed(bus).follow(training, after_seq=seen[-1])) as stream:
        seen += [event.seq async for event in stream]
    assert list(range(written + 2)) == seen
    assert [] == list(bus.topics)
