"""Stored events and how they are followed: rows are the truth, the bus wakes and carries a copy."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import stamina

from models.errors import InvalidInput
from models.generation import GenerationEvent
from models.status import GenerationStatus, TrainingStage, TrainingStatus
from models.training import TrainingEvent
from services.database import DATABASE_ERRORS
from services.ports import EventBus, Message

Event = TypeVar("Event", TrainingEvent, GenerationEvent)
FAR_BEHIND = 100  # events; whoever is further behind gets the newest one
OUTAGE_SECONDS = 300.0  # how long a follower waits for a database that is away


def topic(job: UUID) -> str:
    """Where a job's events are published."""
    return f"job:{job}"


async def publish(bus: EventBus, event: TrainingEvent | GenerationEvent) -> None:
    """Send a copy of a committed event to whoever follows its job."""
    owner = event.training_id if isinstance(event, TrainingEvent) else event.generation_id
    await bus.publish(topic(owner), {name: _plain(value) for name, value in _columns(event).items()})


def _will_pass(error: Exception) -> bool:
    """Whether a follower waits for the database; not one that is cancelled, which the driver's error may hide."""
    task = asyncio.current_task()
    return isinstance(error, DATABASE_ERRORS) and not (task and task.cancelling())


@dataclass(frozen=True, kw_only=True)
class Feed(Generic[Event]):
    """Follows the events of one kind of job."""

    bus: EventBus
    model: type[Event]
    job_column: str

    async def follow(self, job: UUID, *, after_seq: int | None = None) -> AsyncGenerator[Event, None]:
        """Yield the newest stored event, or all with `seq > after_seq`; then live ones; end after the final one.

        Listens before it reads, so nothing falls between; a number that is not the next one means: read the rows.
        What was stored before is given in full. Who takes live events so slowly that more than 100 wait is given the
        newest, and `missed_before` says how many that left out; the final event is always given.
        Once it follows, it outlasts a database that is away for five minutes.
        Raises `InvalidInput` when `after_seq` is negative or beyond the last event.
        """
        async with self.bus.listen(topic(job)) as listener:
            last = await self._last(job)
            stored, cursor = last.seq, last.seq - 1 if after_seq is None else after_seq
            if not 0 <= cursor <= stored:
                raise InvalidInput(reason=f"afterSeq must be from 0 to {stored}.", path=("afterSeq",))
            ended = last.status.is_final and cursor == stored
            message: Message | None = None
            while not ended:
                for event in await self._next(job, cursor, message, stored=stored):
                    yield event
                    cursor, ended = event.seq, event.status.is_final and event.seq >= stored
                message = None if ended or cursor < stored else await listener.get(self.bus.reread_seconds)

    async def _next(self, job: UUID, cursor: int, message: Message | None, *, stored: int) -> list[Event]:
        if message is not None and message["seq"] <= cursor:
            return []
        if message is not None and message["seq"] == cursor + 1:
            return [_from_message(self.model, message)]
        return await self._read(job, cursor, stored=stored)

    @stamina.retry(on=_will_pass, attempts=None, timeout=OUTAGE_SECONDS, wait_initial=0.2, wait_max=5.0)
    async def _read(self, job: UUID, cursor: int, *, stored: int) -> list[Event]:
        rest = self.model.filter(**{self.job_column: job, "seq__gt": cursor}).order_by("seq")
        rows: list[Event] = await rest.limit(FAR_BEHIND + 1)
        if len(rows) <= FAR_BEHIND or cursor < stored:
            return rows[:FAR_BEHIND]
        newest = await self._last(job)
        newest.__dict__["missed"] = newest.seq - cursor - 1
        return [newest]

    async def _last(self, job: UUID) -> Event:
        last: Event | None = await self.model.filter(**{self.job_column: job}).order_by("-seq").first()
        assert last is not None, "a job has its first event from the transaction that made it"
        return last


def missed_before(event: TrainingEvent | GenerationEvent) -> int:
    """How many events before this one its follower was too slow to be shown; no column, as it differs per follower."""
    return int(event.__dict__.get("missed", 0))


def _columns(event: TrainingEvent | GenerationEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event._meta.db_fields}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _from_message(model: type[Event], message: Mapping[str, Any]) -> Event:
    values = dict(message)
    values["at"] = datetime.fromisoformat(values["at"])
    values["id"] = UUID(values["id"])
    if model is TrainingEvent:
        values |= {"training_id": UUID(values["training_id"]), "status": TrainingStatus(values["status"])}
        values["stage"] = TrainingStage(values["stage"]) if values["stage"] else None
    else:
        values |= {"generation_id": UUID(values["generation_id"]), "status": GenerationStatus(values["status"])}
    return model(**values)
