"""Stored events and how they are followed: rows are the truth, the bus wakes and carries a copy."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from models.errors import InvalidInput
from models.generation import GenerationEvent
from models.status import GenerationStatus, TrainingStage, TrainingStatus
from models.training import TrainingEvent
from services.ports import EventBus, Message

Event = TypeVar("Event", TrainingEvent, GenerationEvent)
REREAD_SECONDS = 5.0


def topic(job: UUID) -> str:
    """Where a job's events are published."""
    return f"job:{job}"


async def publish(bus: EventBus, event: TrainingEvent | GenerationEvent) -> None:
    """Send a copy of a committed event to whoever follows its job."""
    owner = event.training_id if isinstance(event, TrainingEvent) else event.generation_id
    await bus.publish(topic(owner), {name: _plain(value) for name, value in _columns(event).items()})


@dataclass(frozen=True, kw_only=True)
class Feed(Generic[Event]):
    """Follows the events of one kind of job."""

    bus: EventBus
    model: type[Event]
    job_column: str

    async def follow(self, job: UUID, *, after_seq: int | None = None) -> AsyncGenerator[Event, None]:
        """Yield the newest stored event, or all with `seq > after_seq`; then live ones; end after the final one.

        Listens before it reads, so nothing falls between; a number that is not the next one means: read the rows.
        Raises `InvalidInput` when `after_seq` is negative or beyond the last event.
        """
        async with self.bus.listen(topic(job)) as listener:
            last = await self._last(job)
            cursor = last.seq - 1 if after_seq is None else after_seq
            if not 0 <= cursor <= last.seq:
                raise InvalidInput(reason=f"afterSeq must be from 0 to {last.seq}.", path=("afterSeq",))
            ended = last.status.is_final and cursor == last.seq
            message: Message | None = None
            while not ended:
                for event in await self._next(job, cursor, message):
                    yield event
                    cursor, ended = event.seq, event.status.is_final
                message = None if ended else await listener.get(REREAD_SECONDS)

    async def _next(self, job: UUID, cursor: int, message: Message | None) -> list[Event]:
        if message is not None and message["seq"] <= cursor:
            return []
        if message is not None and message["seq"] == cursor + 1:
            return [_from_message(self.model, message)]
        return await self.model.filter(**{self.job_column: job, "seq__gt": cursor}).order_by("seq")

    async def _last(self, job: UUID) -> Event:
        last: Event | None = await self.model.filter(**{self.job_column: job}).order_by("-seq").first()
        assert last is not None, "a job has its first event from the transaction that made it"
        return last


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
