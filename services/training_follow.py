"""Following a training at the provider: one loop, whose cadence follows the watchers."""

from dataclasses import dataclass
from uuid import UUID

import structlog

from models.errors import ProviderUnavailable, ResultUnusable
from models.status import TrainingStage
from models.submission import Submission
from models.training import Training
from services.events import topic
from services.ports import Clock, Ended, EventBus, Provider, ProviderJob, Queued, Running
from services.progress import Parsed, estimated, parse_logs
from services.submissions import accepted_job
from services.training import expected_seconds
from services.training_journal import TrainingJournal

UNWATCHED_FACTOR, SLOWEST_SECONDS = 3, 15.0

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class TrainingFollow:
    """Asks the provider how a training goes and records what it says."""

    bus: EventBus
    provider: Provider
    clock: Clock
    journal: TrainingJournal
    poll_seconds: float

    async def until_ended(self, id: UUID) -> None:
        """Return once the provider has ended the job, or the training has ended otherwise (a cancel).

        A provider that does not answer is asked again later: its silence ends nothing.
        """
        job = await self._job(id)
        while not (training := await Training.get(id=id)).status.is_final:
            try:
                status = await self.provider.status(job, logs=True)
            except ProviderUnavailable as error:
                _log.warning("training.status_unavailable", training=str(id), reason=error.message)
            else:
                if isinstance(status, Ended):
                    return
                await self._record(training, status)
            await self._pause(id)

    async def _job(self, id: UUID) -> ProviderJob:
        job = accepted_job(await Submission.get(job_id=id))
        if job is None:
            raise ResultUnusable(reason="the provider's job is not known.")
        return job

    async def _record(self, training: Training, status: Queued | Running) -> None:
        if isinstance(status, Queued):
            await self._say(training, f"Waiting at the provider, position {status.position + 1}", queue=status.position)
            return
        submission = await Submission.get(job_id=training.id)
        elapsed = (self.clock.now() - (submission.accepted_at or submission.created_at)).total_seconds()
        if parsed := parse_logs(status.logs, total_steps=training.steps):
            message = f"Training step {parsed.step}/{training.steps}" if parsed.step is not None else "Training..."
            await self._say(training, message, parsed=parsed, elapsed=elapsed)
        else:
            guess = estimated(elapsed, expected_seconds(training.steps))
            message = "Starting LoRA training... (estimated from elapsed time)"
            await self._say(training, message, parsed=guess, elapsed=elapsed)

    async def _say(
        self,
        training: Training,
        message: str,
        *,
        parsed: Parsed | None = None,
        elapsed: float = 0.0,
        queue: int | None = None,
    ) -> None:
        """Record a step that is news; the same step again, or one behind, is not."""
        before = await self.journal.latest(training.id)
        fraction = parsed.fraction if parsed else 0.0
        in_stage = before.stage is TrainingStage.TRAINING
        if in_stage and (before.message == message or (before.stage_percent or 0.0) > 100 * fraction):
            return
        await self.journal.progress(
            training.id,
            stage=TrainingStage.TRAINING,
            message=message,
            fraction=fraction,
            step=parsed.step if parsed else None,
            total_steps=training.steps,
            queue_position=queue,
            eta_seconds=_eta(parsed, elapsed),
        )

    async def _pause(self, id: UUID) -> None:
        """Wait for the next look: short while somebody watches, long otherwise, ended at once by a wake-up."""
        unwatched = max(self.poll_seconds, min(self.poll_seconds * UNWATCHED_FACTOR, SLOWEST_SECONDS))
        async with self.bus.listen(wake_topic(id)) as wake:
            waited = 0.0
            while waited < unwatched:
                if await wake.get(self.poll_seconds) is not None or await self.bus.watched(topic(id)):
                    return
                waited += self.poll_seconds


def wake_topic(job: UUID) -> str:
    """Where a webhook or a cancel ends a follower's pause."""
    return f"wake:{job}"


def _eta(parsed: Parsed | None, elapsed: float) -> int | None:
    """The log's own estimate, else the elapsed time carried on."""
    if parsed is None or parsed.fraction <= 0:
        return None
    return (
        parsed.eta_seconds
        if parsed.eta_seconds is not None
        else round(elapsed * (1 - parsed.fraction) / parsed.fraction)
    )
