"""Late successes: what was failed and refunded too early is kept after all, and is free."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from models.errors import ProviderUnavailable
from models.generation import Generation
from models.status import GenerationStatus, TrainingStatus
from models.submission import Submission
from models.training import Training
from services.generation_run import GenerationRun
from services.ports import Clock, Ended, Provider, Run
from services.submissions import accepted_job
from services.training_finish import TrainingFinish

RUN = "rescue"
LONGEST_WAIT = timedelta(hours=24)
LOOK_AGAIN_SECONDS = 10.0

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Rescue:
    """Finishes a FAILED job whose provider has delivered after all."""

    provider: Provider
    clock: Clock
    finish: TrainingFinish
    generations: GenerationRun

    @property
    def run(self) -> Run:
        """The durable run `rescue`, whose id is the training's or generation's."""
        return Run(steps=(self.wait_for_end, self.finish_late), give_up=self.give_up)

    async def wait_for_end(self, job: UUID) -> None:
        """Wait until the provider has ended the job, for a day at most: it may be found while it still runs."""
        row = await Submission.filter(job_id=job).exclude(request_id=None).order_by("-attempt").first()
        accepted = accepted_job(row) if row else None
        last = self.clock.now() + LONGEST_WAIT
        while accepted is not None and self.clock.now() < last:
            try:
                if isinstance(await self.provider.status(accepted), Ended):
                    return
            except ProviderUnavailable as error:
                _log.warning("rescue.status_unavailable", job=str(job), reason=error.message)
            await self.clock.sleep(LOOK_AGAIN_SECONDS)

    async def finish_late(self, job: UUID) -> None:
        """Read the result and keep it."""
        _log.info("rescue.started", job=str(job))
        if await Training.exists(id=job, model__deleted_at=None):
            await self.finish.complete(job)
        elif await Generation.exists(id=job, deleted_at=None):
            await self.generations.finish_late(job)

    async def give_up(self, job: UUID, error: Exception) -> None:
        """It stays FAILED and refunded, and is not looked for any more."""
        await Submission.filter(job_id=job).update(lost=False)
        _log.warning("rescue.gave_up", job=str(job), reason=str(error))


async def was_failed(job: UUID) -> bool:
    """Whether a training or generation is FAILED, so that a success is a late one."""
    training = Training.filter(id=job, status=TrainingStatus.FAILED)
    generation = Generation.filter(id=job, status=GenerationStatus.FAILED)
    return await training.exists() or await generation.exists()
