"""The end of a job that shows no sign of life: cancelled at the provider, and failed with a refund."""

import structlog

from models.errors import ProviderError, ProviderUnavailable
from services.ports import CancelOutcome, Provider, ProviderJob
from services.stuck import GivenUp, Silence

_log = structlog.get_logger()


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
    except ProviderUnavailable:
        return False
    except ProviderError:
        pass  # over too; whoever reads the result next says why
    return True
