"""What an owner may change about a generation: cancel it."""

from dataclasses import dataclass
from uuid import UUID

from models.errors import AlreadyFinished, NotFound
from models.generation import Generation
from models.status import GenerationStatus
from services import cancelling
from services.generation_journal import GenerationJournal
from services.journal import locked
from services.ports import Jobs
from services.training_follow import wake_topic
from services.unit_of_work import after_commit, transactional


@dataclass(frozen=True, kw_only=True)
class GenerationChanges:
    """Cancels, as often as asked; refunds in full until the provider has delivered the picture."""

    jobs: Jobs
    journal: GenerationJournal

    @transactional
    async def cancel(self, owner: UUID, id: UUID) -> Generation:
        """End a generation now and tell the provider; a cancelled one is returned as it is.

        Raises `NotFound`, and `AlreadyFinished` when it has ended or its picture is being kept.
        """
        if not await Generation.filter(id=id, owner_id=owner).exists():
            raise NotFound(what="generation", path=("input", "id"))
        row = await locked(Generation, id)
        if row.status is GenerationStatus.CANCELLED:
            return row
        if row.status.is_final or row.original_fal_url is not None:
            status = row.status if row.status.is_final else "being kept"
            raise AlreadyFinished(what="generation", status=status, path=("input", "id"))
        cancelled = await self.journal.cancel(id)
        after_commit(self.jobs.enqueue, cancelling.RUN, id)
        after_commit(self.journal.journal.bus.publish, wake_topic(id), {"cancelled": str(id)})
        assert cancelled is not None, "its row is locked"
        return cancelled
