"""The only place where a generation changes: the row, its event and its credits move in one transaction."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from models.errors import LikenessError
from models.generation import Generation
from models.status import GenerationStatus
from services.credits import Credits
from services.journal import NO_ERROR, Journal, error_columns, locked
from services.unit_of_work import transactional


@dataclass(frozen=True, kw_only=True)
class GenerationJournal:
    """Records what happens to generations; each method returns None, and changes nothing, after the end."""

    journal: Journal
    credits: Credits

    @transactional
    async def accept(self, generation: Generation) -> None:
        """Create a generation with its reserve and its first event. Raises `InsufficientCredits`."""
        await generation.save(force_create=True)
        await self.credits.reserve(generation.owner_id, generation.id, generation.credits)
        event = {"message": "Generation accepted"}
        await self.journal.move(generation, GenerationStatus.PENDING, columns={}, event=event)

    @transactional
    async def progress(
        self, id: UUID, *, message: str, queue_position: int | None = None, **columns: Any
    ) -> Generation | None:
        """Note progress, and columns that became known with it."""
        generation = await locked(Generation, id)
        if generation.status.is_final:
            return None
        event = {"message": message, "queue_position": queue_position}
        return await self.journal.move(generation, GenerationStatus.PROCESSING, columns=columns, event=event)

    @transactional
    async def complete(self, id: UUID, **columns: Any) -> Generation | None:
        """End well: our own copy is kept (its `location` is among the columns) and the reserve is spent.

        A success that comes after the generation was failed is kept too; its credits were given back, so it is free.
        """
        generation = await locked(Generation, id)
        if generation.status in {GenerationStatus.COMPLETED, GenerationStatus.CANCELLED}:
            return None
        await self.credits.commit(id)
        columns |= NO_ERROR | {"permanent": True, "completed_at": self.journal.clock.now()}
        event = {"message": "Image ready"}
        return await self.journal.move(generation, GenerationStatus.COMPLETED, columns=columns, event=event)

    @transactional
    async def fail(self, id: UUID, error: LikenessError) -> Generation | None:
        """End badly: the reason is kept and the reserve given back."""
        return await self._stop(id, GenerationStatus.FAILED, error.message, error_columns(error))

    @transactional
    async def cancel(self, id: UUID) -> Generation | None:
        """End at the user's wish; the reserve is given back."""
        return await self._stop(id, GenerationStatus.CANCELLED, "Generation cancelled", {})

    async def _stop(self, id: UUID, to: GenerationStatus, message: str, columns: dict[str, Any]) -> Generation | None:
        generation = await locked(Generation, id)
        if generation.status.is_final:
            return None
        await self.credits.refund(id)
        columns |= {"completed_at": self.journal.clock.now(), "credits_spent": 0}
        return await self.journal.move(generation, to, columns=columns, event={"message": message})
