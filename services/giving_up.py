"""Looks at a job that are not answered, and the end of one that shows no sign of life."""

from datetime import datetime

import structlog

from models.errors import ProviderError, ProviderJobGone, ProviderRejected
from services.ports import CancelOutcome, Provider, ProviderJob
from services.stuck import GivenUp, Silence

_log = structlog.get_logger()


def unanswered(silence: Silence, error: ProviderError, now: datetime) -> Silence:
    """What is known after a look that failed: nothing of the job, whatever the provider answered instead.

    Raises the error when the provider keeps saying that it does not know the job.
    """
    heard = silence.refused(now, gone=isinstance(error, ProviderJobGone))
    if heard.is_gone:
        raise error
    return heard


async def abandon(provider: Provider, job: ProviderJob, silence: Silence) -> None:
    """Stop the provider's job and raise `GivenUp`; return when it turns out to have ended."""
    try:
        if await provider.cancel(job) is CancelOutcome.TOO_LATE:
            return
    except ProviderError as error:
        _log.warning("job.cancel_failed", request_id=job.request_id, reason=error.message)
    raise GivenUp(reason=silence.reason)


async def has_result(provider: Provider, job: ProviderJob) -> bool:
    """Whether there is a result although the status knows of none; a refusal is one too."""
    try:
        await provider.result(job)
    except ProviderRejected:
        return True  # over too; whoever reads the result next says why
    except ProviderError:
        return False
    return True
