"""Following a training at the provider: one loop, whose cadence follows the watchers."""

from dataclasses import dataclass, replace
from uuid import UUID

import structlog

from models.errors import ProviderError, ResultUnusable
from models.status import TrainingStage
from models.submission import Submission
from models.training import Training
from services.events import topic
from services.giving_up import abandon, has_result, unanswered
from services.ports import Clock, Ended, EventBus, Listener, Provider, ProviderJob, Queued, Running
from services.progress import Parsed, estimated, parse_logs
from services.stuck import Silence, Verdict, sign_of, training_bound
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

        A provider that does not say how the job stands is asked again for a day. A job without a sign of life is asked
        about after a bound (`services.stuck`); after twice that it is cancelled. Raises `GivenUp` after either, and
        `ProviderJobGone` when the provider keeps saying that it does not know the job.
        """
        if (await Training.get(id=id)).status.is_final:
            return
        job, silence = await self._job(id), Silence.begin(self.clock.now())
        # Listening before looking: a webhook that comes while the provider is asked is not lost.
        async with self.bus.listen(wake_topic(id)) as wake:
            while not (training := await Training.get(id=id)).status.is_final:
                heard = await self._look(training, job, silence)
                if heard is None or await self._has_ended(training, job, heard):
                    return
                silence = replace(heard, asked=heard.asked or heard.verdict is Verdict.ASK)
                await self._pause(id, wake)

    async def _has_ended(self, training: Training, job: ProviderJob, silence: Silence) -> bool:
        """Whether a job that shows no sign of life is over after all. Raises `GivenUp` for one that is dead."""
        if silence.verdict is Verdict.END:
            await abandon(self.provider, job, silence)
            return True
        return silence.verdict is Verdict.ASK and await self._ask(training, job, silence)

    async def _look(self, training: Training, job: ProviderJob, silence: Silence) -> Silence | None:
        """Ask once and record what is new; None when the job is over."""
        try:
            status = await self.provider.status(job, logs=True)
        except ProviderError as error:
            _log.warning("training.status_unavailable", training=str(training.id), reason=error.message)
            return unanswered(silence, error, self.clock.now())
        if isinstance(status, Ended):
            return None
        sign = sign_of(status)
        await self._record(training, status, is_news=sign != silence.sign)
        bound = training_bound(status, expected_seconds=expected_seconds(training.steps))
        return silence.heard(sign, self.clock.now(), bound=bound)

    async def _ask(self, training: Training, job: ProviderJob, silence: Silence) -> bool:
        """Tell the watchers, and see whether there is a result although the status knows of none."""
        before = await self.journal.latest(training.id)
        _log.warning("training.silent", training=str(training.id), seconds=silence.silent.total_seconds())
        await self.journal.progress(
            training.id,
            stage=TrainingStage.TRAINING,
            message=silence.question,
            fraction=(before.stage_percent or 0.0) / 100 if before.stage is TrainingStage.TRAINING else 0.0,
            step=before.step,
            total_steps=training.steps,
            queue_position=before.queue_position,
        )
        return await has_result(self.provider, job)

    async def _job(self, id: UUID) -> ProviderJob:
        job = accepted_job(await Submission.get(job_id=id))
        if job is None:
            raise ResultUnusable(reason="the provider's job is not known.")
        return job

    async def _record(self, training: Training, status: Queued | Running, *, is_news: bool) -> None:
        """Say what is new; an estimate goes on even while the provider shows the same."""
        if isinstance(status, Queued):
            if is_news:
                await self._say(training, waiting(status), queue=status.position)
            return
        submission = await Submission.get(job_id=training.id)
        elapsed = (self.clock.now() - (submission.accepted_at or submission.created_at)).total_seconds()
        if parsed := parse_logs(status.logs, total_steps=training.steps):
            message = f"Training step {parsed.step}/{training.steps}" if parsed.step is not None else "Training..."
            if is_news:
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
        """Record a step that is news; one behind is not, nor the same words less than a percent later."""
        before = await self.journal.latest(training.id)
        fraction = parsed.fraction if parsed else 0.0
        advance = 100 * fraction - (before.stage_percent or 0.0)
        if before.stage is TrainingStage.TRAINING and advance < (1.0 if before.message == message else 0.0):
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

    async def _pause(self, id: UUID, wake: Listener) -> None:
        """Wait for the next look: short while somebody watches, long otherwise, ended at once by a wake-up."""
        unwatched = max(self.poll_seconds, min(self.poll_seconds * UNWATCHED_FACTOR, SLOWEST_SECONDS))
        waited = 0.0
        while waited < unwatched:
            if await wake.get(self.poll_seconds) is not None or await self.bus.watched(topic(id)):
                return
            waited += self.poll_seconds


def wake_topic(job: UUID) -> str:
    """Where a webhook or a cancel ends a follower's pause."""
    return f"wake:{job}"


def waiting(status: Queued) -> str:
    """What to tell those who watch a job in the provider's queue."""
    place = "" if status.position is None else f", position {status.position + 1}"
    return f"Waiting at the provider{place}"


def _eta(parsed: Parsed | None, elapsed: float) -> int | None:
    """The log's own estimate, else the elapsed time carried on."""
    if parsed is None or parsed.fraction <= 0:
        return None
    return (
        parsed.eta_seconds
        if parsed.eta_seconds is not None
        else round(elapsed * (1 - parsed.fraction) / parsed.fraction)
    )
