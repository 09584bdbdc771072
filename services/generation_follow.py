"""Following a generation at the provider until it has ended."""

from dataclasses import dataclass, replace
from uuid import UUID

import structlog

from models.errors import ProviderError
from models.generation import Generation
from services.generation_journal import GenerationJournal
from services.giving_up import abandon, has_result, unanswered
from services.ports import Clock, Ended, EventBus, Provider, ProviderJob, Queued
from services.stuck import Silence, Verdict, generation_bound, sign_of
from services.training_follow import waiting, wake_topic

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class GenerationFollow:
    """Asks the provider how a generation goes and records what is new."""

    bus: EventBus
    provider: Provider
    clock: Clock
    journal: GenerationJournal
    poll_seconds: float

    async def until_ended(self, id: UUID, job: ProviderJob) -> bool:
        """True once the provider has ended the job, False when the generation has ended otherwise (a cancel).

        A provider that does not say how the job stands is asked again for a day. A job without a sign of life is asked
        about after a bound (`services.stuck`) and cancelled after twice that. Raises `GivenUp` after either, and
        `ProviderJobGone` when the provider keeps saying that it does not know the job.
        """
        silence = Silence.begin(self.clock.now())
        # Listening before asking: a wake-up that comes while the provider answers is not lost.
        async with self.bus.listen(wake_topic(id)) as wake:
            while not (await Generation.get(id=id)).status.is_final:
                heard = await self._look(id, job, silence)
                if heard is None or await self._is_over(id, job, heard):
                    return True
                silence = replace(heard, asked=heard.asked or heard.verdict is Verdict.ASK)
                await wake.get(self.poll_seconds)
        return False

    async def _look(self, id: UUID, job: ProviderJob, silence: Silence) -> Silence | None:
        try:
            status = await self.provider.status(job)
        except ProviderError as error:
            _log.warning("generation.status_unavailable", generation=str(id), reason=error.message)
            return unanswered(silence, error, self.clock.now())
        if isinstance(status, Ended):
            return None
        if (sign := sign_of(status)) != silence.sign:
            queue, message = (status.position, waiting(status)) if isinstance(status, Queued) else (None, "Drawing")
            await self.journal.progress(id, message=message, queue_position=queue, fal_job_id=job.request_id)
        return silence.heard(sign, self.clock.now(), bound=generation_bound(status))

    async def _is_over(self, id: UUID, job: ProviderJob, silence: Silence) -> bool:
        if silence.verdict is Verdict.END:
            await abandon(self.provider, job, silence)
            return True
        if silence.verdict is Verdict.WAIT:
            return False
        _log.warning("generation.silent", generation=str(id), seconds=silence.silent.total_seconds())
        await self.journal.progress(id, message=silence.question)
        return await has_result(self.provider, job)
