"""The only place where a training changes: the row, its model, its event and its credits move in one transaction."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from models.errors import LikenessError
from models.lora import LoraModel
from models.status import TrainingStage, TrainingStatus
from models.training import Training, TrainingEvent
from services.credits import Credits
from services.journal import NO_ERROR, Journal, error_columns, locked
from services.progress import overall_percent
from services.unit_of_work import transactional


@dataclass(frozen=True, kw_only=True)
class TrainingJournal:
    """Records what happens to trainings; each method returns None, and changes nothing, after the end."""

    journal: Journal
    credits: Credits

    @transactional
    async def accept(self, training: Training, model: LoraModel) -> None:
        """Create a training with its model, its reserve and its first event. Raises `InsufficientCredits`."""
        await model.save(force_create=True)
        await training.save(force_create=True)
        await self.credits.reserve(training.owner_id, training.id, training.credits)
        event = {"message": "Training accepted"}
        await self.journal.move(training, TrainingStatus.PENDING, columns={}, event=event)

    @transactional
    async def progress(
        self, id: UUID, *, stage: TrainingStage, message: str, fraction: float = 0.0, **facts: Any
    ) -> Training | None:
        """Move within or into a stage; `fraction` (0 to 1) is how much of the stage is done.

        FINALIZING is not left again: a process that stood still while another began it changes nothing.
        """
        training = await locked(Training, id)
        goes_back = training.stage is TrainingStage.FINALIZING and stage is not TrainingStage.FINALIZING
        if training.status.is_final or goes_back:
            return None
        columns: dict[str, Any] = {"stage": stage}
        columns["percent"] = max(training.percent, overall_percent(stage, fraction))
        if training.started_at is None:
            columns["started_at"] = self.journal.clock.now()
        event = facts | {"stage_percent": round(100 * fraction, 2), "message": message}
        return await self._move(training, TrainingStatus.TRAINING, columns, event)

    @transactional
    async def complete(self, id: UUID, *, model: dict[str, Any]) -> Training | None:
        """End well: `model` holds the columns of the trained model. The reserve is spent.

        A success that comes after the training was failed is kept too; its credits were given back, so it is free.
        """
        training = await locked(Training, id)
        if training.status in {TrainingStatus.COMPLETED, TrainingStatus.CANCELLED}:
            return None
        await LoraModel.filter(id=training.model_id).update(**model)
        await self.credits.commit(id)
        now = self.journal.clock.now()
        columns = {"stage": TrainingStage.FINALIZING, "percent": 100.0, "completed_at": now, **NO_ERROR}
        event = {"message": "Training completed", "stage_percent": 100.0}
        return await self._move(training, TrainingStatus.COMPLETED, columns, event)

    @transactional
    async def fail(self, id: UUID, error: LikenessError) -> Training | None:
        """End badly: the reason is kept and the reserve given back."""
        return await self._stop(id, TrainingStatus.FAILED, error.message, error_columns(error))

    @transactional
    async def cancel(self, id: UUID) -> Training | None:
        """End at the user's wish; the reserve is given back."""
        return await self._stop(id, TrainingStatus.CANCELLED, "Training cancelled", {})

    async def latest(self, id: UUID) -> TrainingEvent:
        """The newest event; there is one from the transaction that made the training."""
        last = await TrainingEvent.filter(training_id=id).order_by("-seq").first()
        assert last is not None
        return last

    async def _stop(self, id: UUID, to: TrainingStatus, message: str, columns: dict[str, Any]) -> Training | None:
        training = await locked(Training, id)
        if training.status.is_final:
            return None
        await self.credits.refund(id)
        columns |= {"completed_at": self.journal.clock.now(), "credits_spent": 0}
        return await self._move(training, to, columns, {"message": message})

    async def _move(
        self, training: Training, to: TrainingStatus, columns: dict[str, Any], event: dict[str, Any]
    ) -> Training:
        if to is not training.status:
            await LoraModel.filter(id=training.model_id).update(status=to)
        return await self.journal.move(training, to, columns=columns, event=event)
