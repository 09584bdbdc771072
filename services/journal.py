"""How a job changes: its row and its next event in one transaction, a copy to the bus after it."""

from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from models.errors import LikenessError
from models.generation import Generation, GenerationEvent
from models.status import NEXT_GENERATION, NEXT_TRAINING, GenerationStatus, TrainingStatus
from models.training import Training, TrainingEvent
from services.events import publish
from services.ports import Clock, EventBus
from services.text import storable
from services.unit_of_work import after_commit

Job = TypeVar("Job", Training, Generation)
NO_ERROR: dict[str, Any] = {"error_code": None, "error_message": None, "error_retryable": False}
MESSAGE_CHARACTERS, ERROR_CHARACTERS = 500, 2000


@dataclass(frozen=True, kw_only=True)
class Journal:
    """Moves trainings and generations along their tables of legal moves, one numbered event each."""

    bus: EventBus
    clock: Clock

    async def move(
        self, job: Job, to: TrainingStatus | GenerationStatus, *, columns: dict[str, Any], event: dict[str, Any]
    ) -> Job:
        """Write the row and its next event; must be called in a transaction that holds the row's lock."""
        legal: Any = NEXT_TRAINING if isinstance(job, Training) else NEXT_GENERATION
        if to not in legal[job.status]:
            raise AssertionError(f"a job cannot go from {job.status} to {to}")
        columns = columns | {"status": to, "seq": job.seq + 1}
        if not await type(job).filter(id=job.id, seq=job.seq).update(**columns):
            raise AssertionError("a job changed while its row was locked")
        job.update_from_dict(columns)
        after_commit(publish, self.bus, await self._event(job, event))
        return job

    async def _event(self, job: Training | Generation, facts: dict[str, Any]) -> TrainingEvent | GenerationEvent:
        message = storable(facts["message"], longest=MESSAGE_CHARACTERS)
        facts = facts | {"seq": job.seq, "at": self.clock.now(), "message": message}
        if isinstance(job, Training):
            facts |= {"stage": job.stage, "percent": job.percent}
            return await TrainingEvent.create(training_id=job.id, status=job.status, **facts)
        return await GenerationEvent.create(generation_id=job.id, status=job.status, **facts)


def error_columns(error: LikenessError) -> dict[str, Any]:
    """The columns of a job that failed; whatever words the provider gave, they can be written."""
    message = storable(error.message, longest=ERROR_CHARACTERS)
    return {"error_code": error.code, "error_message": message, "error_retryable": error.retryable}


async def locked(model: type[Job], id: UUID) -> Job:
    """The row, locked on PostgreSQL; SQLite has one connection, so its transactions never overlap."""
    return await model.select_for_update().get(id=id)
