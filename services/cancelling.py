"""Cancelling at the provider: durable, repeatable, and never the reason for a second job."""

from dataclasses import dataclass
from uuid import UUID

import stamina
import structlog

from models.errors import ProviderJobGone, ProviderUnavailable
from models.submission import Submission, SubmissionState
from services.ports import Provider, Run
from services.submissions import Submissions, accepted_job

RUN = "cancel"

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Canceller:
    """Tells the provider to stop the jobs of a training or generation that its owner has cancelled."""

    provider: Provider
    submissions: Submissions

    @property
    def run(self) -> Run:
        """The durable run `cancel`, whose id is the training's or generation's."""
        return Run(steps=(self.stop_at_provider,), give_up=self.give_up)

    async def stop_at_provider(self, job: UUID) -> None:
        """Cancel every call that the provider has accepted; one whose answer was lost is looked for once."""
        for row in await Submission.filter(job_id=job, state__in=[SubmissionState.INTENDED, SubmissionState.ACCEPTED]):
            retry = stamina.retry_context(on=ProviderUnavailable, attempts=10, timeout=900, wait_max=120)
            try:
                async for attempt in retry:
                    with attempt:
                        await self._cancel(row)
            except ProviderJobGone:
                continue

    async def _cancel(self, row: Submission) -> None:
        accepted = accepted_job(row) or await self.submissions.find(row)
        if accepted is not None:
            outcome = await self.provider.cancel(accepted)
            _log.info("cancel.sent", job=str(row.job_id), outcome=outcome)

    async def give_up(self, job: UUID, error: Exception) -> None:
        """The owner's side is cancelled and refunded already; only the provider was not told."""
        _log.error("cancel.gave_up", job=str(job), reason=str(error))
