"""Late successes: what was failed and refunded too early is kept after all, and is free."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from models.errors import ProviderError
from models.generation import Generation
from models.lora import LoraModel
from models.status import GenerationStatus, TrainingStatus
from models.submission import Submission
from models.training import Training
from services.generation_run import GenerationRun
from services.giving_up import unanswered
from services.ports import Clock, Ended, Provider, Run
from services.removal import remove_again
from services.stuck import Silence
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
        silence = Silence.begin(self.clock.now())
        last = silence.looked_at + LONGEST_WAIT
        while accepted is not None and self.clock.now() < last:
            try:
                if isinstance(await self.provider.status(accepted), Ended):
                    return
                silence = Silence.begin(self.clock.now())
            except ProviderError as error:
                _log.warning("rescue.status_unavailable", job=str(job), reason=error.message)
                silence = unanswered(silence, error, self.clock.now())
            await self.clock.sleep(LOOK_AGAIN_SECONDS)

    async def finish_late(self, job: UUID) -> None:
        """Read the result and keep it; the files of what its owner deletes meanwhile go again."""
        _log.info("rescue.started", job=str(job))
        training, generation = await Training.get_or_none(id=job), await Generation.get_or_none(id=job)
        if training is not None:
            await self._finish_training(training)
        elif generation is not None:
            await self._finish_generation(generation)

    async def _finish_training(self, training: Training) -> None:
        try:
            if await LoraModel.exists(id=training.model_id, deleted_at=None):
                await self.finish.complete(training.id)
        finally:
            await remove_again(LoraModel, training.model_id)

    async def _finish_generation(self, generation: Generation) -> None:
        try:
            if generation.deleted_at is None:
                await self.generations.finish_late(generation.id)
        finally:
            await remove_again(Generation, generation.id)

    async def give_up(self, job: UUID, error: Exception) -> None:
        """It stays FAILED and refunded, and is not looked for any more."""
        await Submission.filter(job_id=job).update(lost=False)
        _log.warning("rescue.gave_up", job=str(job), reason=str(error))


async def was_failed(job: UUID) -> bool:
    """Whether a training or generation is FAILED, so that a success is a late one."""
    training = Training.filter(id=job, status=TrainingStatus.FAILED)
    generation = Generation.filter(id=job, status=GenerationStatus.FAILED)
    return await training.exists() or await generation.exists()
