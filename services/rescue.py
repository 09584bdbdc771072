"""Late successes: what was failed and refunded too early is kept after all, and is free."""

from dataclasses import dataclass
from uuid import UUID

import structlog

from models.generation import Generation
from models.training import Training
from services.generation_run import GenerationRun
from services.ports import Run
from services.training_finish import TrainingFinish

RUN = "rescue"

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Rescue:
    """Finishes a FAILED job whose provider has delivered after all."""

    finish: TrainingFinish
    generations: GenerationRun

    @property
    def run(self) -> Run:
        """The durable run `rescue`, whose id is the training's or generation's."""
        return Run(steps=(self.finish_late,), give_up=self.give_up)

    async def finish_late(self, job: UUID) -> None:
        """Read the result and keep it."""
        _log.info("rescue.started", job=str(job))
        if await Training.exists(id=job, model__deleted_at=None):
            await self.finish.complete(job)
        elif await Generation.exists(id=job, deleted_at=None):
            await self.generations.finish_late(job)

    async def give_up(self, job: UUID, error: Exception) -> None:
        """It stays FAILED and refunded."""
        _log.warning("rescue.gave_up", job=str(job), reason=str(error))
