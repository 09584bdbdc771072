"""Following a job: every event once, in order, to the end, whatever the bus loses and however often one reconnects."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from models.errors import InvalidInput
from models.generation import GenerationEvent
from models.ids import new_id
from models.status import GenerationStatus, TrainingStage, TrainingStatus
from models.training import TrainingEvent
from services import events
from services.events import Feed, publish, topic
from services.gateways.bus_memory import MemoryBus
from services.ports import EventBus, Listener, Message
from tests.fakes import FakeBus
from tests.service import rows

SEEDS = 200


@dataclass
class LossyBus:
    """A bus that drops, doubles and delays messages as `fate` says, and hands over what the real one would."""

    fate: Callable[[], str]
    reread_seconds: float = 0.02
    inner: MemoryBus = field(default_factory=MemoryBus)
    kept_back: list[tuple[str, Message]] = field(default_factory=list)

    async def publish(self, topic: str, message: Message) -> None:
        late, self.kept_back = self.kept_back, []
        fate = self.fate()
        if fate == "delay":
            self.kept_back.append((topic, message))
        for _ in range({"drop": 0, "delay": 0, "double": 2}.get(fate, 1)):
            await self.inner.publish(topic, message)
        for old in late:
            await self.inner.publish(*old)

    @asynccontextmanager
    async def listen(self, topic: str) -> AsyncIterator[Listener]:
        async with self.inner.listen(topic) as listener:
            yield listener

    async def watched(self, topic: str) -> bool:
        return await self.inner.watched(topic)


@dataclass
class Job:
    """A training whose events are written one by one."""

    bus: EventBus
    id: UUID
    seq: int = 0

    @property
    def feed(self) -> Feed[TrainingEvent]:
        return Feed(bus=self.bus, model=TrainingEvent, job_column="training_id")

    async def say(self, status: str = "TRAINING", *, heard: bool = True) -> TrainingEvent:
        """Write the next event and tell the bus."""
        self.seq += 1
        event = await rows.training_event(self.id, seq=self.seq, status=TrainingStatus(status), percent=self.seq / 100)
        if heard:
            await publish(self.bus, event)
        return event

    async def numbers(self, after_seq: int | None = None) -> list[int]:
        """What somebody sees who stays to the end."""
        async with aclosing(self.feed.follow(self.id, after_seq=after_seq)) as stream:
            return [event.seq async for event in stream]


async def new_job(bus: EventBus, *statuses: str) -> Job:
    """A training with these events."""
    job = Job(bus=bus, id=(await rows.training((await rows.user()).id)).id)
    for status in statuses:
        await job.say(status)
    return job


@pytest.mark.parametrize(
    ("after", "seen"), [(None, [4]), (0, [1, 2, 3, 4]), (1, [2, 3, 4]), (3, [4]), (4, [])], ids=str
)
async def test_a_finished_job_is_told_to_its_end(
    database: str, bus: FakeBus, *, after: int | None, seen: list[int]
) -> None:
    """Its newest event, or all after a number; then the stream ends by itself and nobody listens any more."""
    job = await new_job(bus, "PENDING", "TRAINING", "TRAINING", "COMPLETED")
    assert seen == await job.numbers(after)
    assert {} == bus.listeners


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED"])
async def test_every_end_ends_the_stream(database: str, bus: FakeBus, *, status: str) -> None:
    """Live, after the final event, whichever it is."""
    job = await new_job(bus, "PENDING")
    stream = job.feed.follow(job.id)
    assert 1 == (await anext(stream)).seq
    await job.say(status)
    assert [status] == [event.status async for event in stream]


@pytest.mark.parametrize("after", [-1, 3, 2**31])
async def test_a_number_that_cannot_be_is_refused(database: str, bus: FakeBus, *, after: int) -> None:
    """Negative or beyond the last event; the refusal names the argument."""
    job = await new_job(bus, "PENDING", "TRAINING")
    with pytest.raises(InvalidInput, match=r"afterSeq must be from 0 to 2\.") as refused:
        await anext(job.feed.follow(job.id, after_seq=after))
    assert ("afterSeq",) == refused.value.path
    assert {} == bus.listeners


async def test_the_newest_event_comes_first_and_then_the_live_ones(database: str, bus: FakeBus) -> None:
    """What the bus carries is what the rows say, to the last column."""
    job = await new_job(bus, "PENDING", "TRAINING")
    async with aclosing(job.feed.follow(job.id)) as stream:
        assert 2 == (await anext(stream)).seq
        written = await job.say()
        event = await anext(stream)
    assert dict(written) == dict(event)
    assert dict(await TrainingEvent.get(training_id=job.id, seq=3)) == dict(event)


async def test_all_columns_travel(database: str, bus: FakeBus) -> None:
    """Stages, numbers and times of both kinds of event come out of the bus as they went in."""
    job = await new_job(bus)
    full = await rows.training_event(
        job.id, seq=1, status=TrainingStatus.TRAINING, stage=TrainingStage.TRAINING, percent=61.5, stage_percent=5.0,
        step=50, total_steps=1000, queue_position=0, eta_seconds=99, message="Training step 50/1000",
    )  # fmt: skip
    generation = await rows.generation((await rows.user()).id)
    picture = await rows.generation_event(generation.id, status=GenerationStatus.PROCESSING, queue_position=2)
    sent: list[Message] = []
    async with bus.listen(topic(job.id)) as first, bus.listen(topic(generation.id)) as second:
        await publish(bus, full)
        await publish(bus, picture)
        sent = [await first.get(1), await second.get(1)]
    assert dict(full) == dict(events._from_message(TrainingEvent, sent[0]))
    assert dict(picture) == dict(events._from_message(GenerationEvent, sent[1]))


async def test_a_gap_is_filled_from_the_rows(database: str, bus: FakeBus) -> None:
    """Two lost messages are noticed by the number of the third, before the next regular look."""
    bus.reread_seconds = 60
    job = await new_job(bus, "PENDING")
    stream = job.feed.follow(job.id)
    seen = [(await anext(stream)).seq]
    for heard in (False, False, True):
        await job.say(heard=heard)
    async with asyncio.timeout(10):
        seen += [(await anext(stream)).seq for _ in range(3)]
    await stream.aclose()
    assert [1, 2, 3, 4] == seen


async def test_a_lost_last_message_is_found_by_looking(database: str, bus: FakeBus) -> None:
    """Even if the bus never speaks again, the end is seen."""
    job = await new_job(bus, "PENDING")
    stream = job.feed.follow(job.id)
    await anext(stream)
    await job.say("COMPLETED", heard=False)
    assert [2] == [event.seq async for event in stream]


async def test_doubled_and_late_messages_are_seen_once(database: str, bus: FakeBus) -> None:
    """Old numbers say nothing new."""
    job = await new_job(bus, "PENDING")
    stream = job.feed.follow(job.id, after_seq=0)
    seen = [(await anext(stream)).seq]
    first = await TrainingEvent.get(training_id=job.id, seq=1)
    second = await job.say()
    for event in (second, first, second):
        await publish(bus, event)
    await job.say("FAILED")
    assert [1, 2, 3] == seen + [event.seq async for event in stream]


async def test_watchers_do_not_disturb_each_other_or_hear_other_jobs(database: str, bus: FakeBus) -> None:
    """Ten watchers of two jobs, one of whom leaves early."""
    jobs = [await new_job(bus, "PENDING") for _ in range(2)]
    leaver = jobs[0].feed.follow(jobs[0].id)
    await anext(leaver)
    watchers = [asyncio.create_task(job.numbers(0)) for job in jobs for _ in range(5)]
    while sum(len(listeners) for listeners in bus.listeners.values()) < 11:
        await asyncio.sleep(0)
    await leaver.aclose()
    for job in jobs:
        await job.say()
        await job.say("COMPLETED")
    assert [[1, 2, 3]] * 10 == await asyncio.gather(*watchers)
    assert {} == bus.listeners


async def test_a_late_success_is_told_to_who_comes_back(database: str, bus: FakeBus) -> None:
    """The stream ended with FAILED; after that number there is one more event, and then the end."""
    job = await new_job(bus, "PENDING", "FAILED")
    assert [1, 2] == await job.numbers(0)
    await job.say("COMPLETED")
    assert [3] == await job.numbers(2)
    assert [1, 2, 3] == await job.numbers(0)


async def test_two_hundred_walks_of_coming_and_going(database: str) -> None:
    """Over a bus that drops, doubles and delays, each walk sees 1 to n, no gap, no double, and the end."""
    for seed in range(SEEDS):
        chance = random.Random(seed)
        bus = LossyBus(fate=lambda chance=chance: chance.choice(["pass", "pass", "drop", "double", "delay"]))
        job, total = await new_job(bus, "PENDING"), chance.randrange(2, 12)
        async with asyncio.timeout(20):
            seen, _ = await asyncio.gather(_walk(job, chance), _tell(job, total, chance))
        assert list(range(1, total + 1)) == seen, f"seed {seed}"
        assert [] == list(bus.inner.topics), f"seed {seed}"


async def _tell(job: Job, total: int, chance: random.Random) -> None:
    while job.seq < total:
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
        await job.say("COMPLETED" if job.seq + 1 == total else "TRAINING")


async def _walk(job: Job, chance: random.Random) -> list[int]:
    seen: list[int] = []
    ended = False
    while not ended:
        stay = chance.randrange(1, 6)
        async with aclosing(job.feed.follow(job.id, after_seq=len(seen))) as stream:
            async for event in stream:
                seen.append(event.seq)
                stay, ended = stay - 1, event.status.is_final
                if not stay or ended:
                    break
    return seen


async def test_a_job_without_events_cannot_be(database: str, bus: FakeBus) -> None:
    """The first event is written with the job; its absence is our fault and not an empty stream."""
    job = Job(bus=bus, id=new_id())
    with pytest.raises(AssertionError, match="first event"):
        await job.numbers()
