"""The only place where a training changes: the row, its model, its event and its credits move in one transaction."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from models.errors import LikenessError
from models.lora import LoraModel
from models.status import NEXT_TRAINING, TrainingStage, TrainingStatus
from models.training import Training, TrainingEvent
from services.credits import Credits
from services.events import publish
from services.ports import Clock, EventBus
from services.progress import overall_percent
from services.unit_of_work import after_commit, transactional

STARTED = "Training accepted"
COMPLETED = "Training completed"


@dataclass(frozen=True, kw_only=True)
class TrainingJournal:
    """Records what happens to trainings."""

    bus: EventBus
    clock: Clock
    credits: Credits

    @transactional
    async def progress(
        self, id: UUID, *, stage: TrainingStage, message: str, fraction: float = 0.0, **facts: Any
    ) -> Training | None:
        """Move within or into a stage; `fraction` (0 to 1) is how much of the stage is done.

        Returns None, and changes nothing, when the training has already ended.
        """
        training = await _locked(id)
        if training.status.is_final:
            return None
        percent = max(training.percent, overall_percent(stage, fraction))
        facts |= {"stage_percent": round(100 * fraction, 2), "message": message}
        columns: dict[str, Any] = {"stage": stage, "percent": percent}
        if training.started_at is None:
            columns["started_at"] = self.clock.now()
        return await self._move(training, TrainingStatus.TRAINING, columns, facts)

    @transactional
    async def accept(self, training: Training, model: LoraModel) -> None:
        """Create a training with its model, its reserve and its first event."""
        await model.save(force_create=True)
        await training.save(force_create=True)
        await self.credits.reserve(training.owner_id, training.id, training.credits)
        await self._move(training, TrainingStatus.PENDING, {}, {"message": STARTED})

    @transactional
    async def complete(self, id: UUID, *, model: dict[str, Any]) -> Training | None:
        """End well: `model` holds the columns of the trained model. The reserve is spent."""
        training = await _locked(id)
        if training.status.is_final:
            return None
        await LoraModel.filter(id=training.model_id).update(**model)
        await self.credits.commit(id)
        columns = {"stage": TrainingStage.FINALIZING, "percent": 100.0, "completed_at": self.clock.now()}
        facts = {"message": COMPLETED, "stage_percent": 100.0}
        return await self._move(training, TrainingStatus.COMPLETED, columns, facts)

    @transactional
    async def fail(self, id: UUID, error: LikenessError) -> Training | None:
        """End badly: the reason is kept and the reserve given back."""
        columns = {"error_code": error.code, "error_message": error.message, "error_retryable": error.retryable}
        return await self._stop(id, TrainingStatus.FAILED, error.message, columns)

    @transactional
    async def cancel(self, id: UUID) -> Training | None:
        """End at the user's wish; the reserve is given back."""
        return await self._stop(id, TrainingStatus.CANCELLED, "Training cancelled", {})

    async def _stop(self, id: UUID, to: TrainingStatus, message: str, columns: dict[str, Any]) -> Training | None:
        training = await _locked(id)
        if training.status.is_final:
            return None
        await self.credits.refund(id)
        columns |= {"completed_at": self.clock.now(), "credits_spent": 0}
        return await self._move(training, to, columns, {"message": message[:500]})

    async def _move(
        self, training: Training, to: TrainingStatus, columns: dict[str, Any], facts: dict[str, Any]
    ) -> Training:
        """Write the row, the model's status and the next event; the table of moves has the last word."""
        if to not in NEXT_TRAINING[training.status]:
            raise AssertionError(f"a training cannot go from {training.status} to {to}")
        columns |= {"status": to, "seq": training.seq + 1}
        if not await Training.filter(id=training.id, seq=training.seq).update(**columns):
            raise AssertionError("a training changed while its row was locked")
        if to is not training.status:
            await LoraModel.filter(id=training.model_id).update(status=to)
        training.update_from_dict(columns)
        event = await TrainingEvent.create(
            training_id=training.id, seq=training.seq, status=to, stage=training.stage, percent=training.percent,
            at=self.clock.now(), **facts,
        )  # fmt: skip
        after_commit(publish, self.bus, event)
        return training


async def _locked(id: UUID) -> Training:
    """The row, locked on PostgreSQL; SQLite has one connection, so its transactions never overlap."""
    return await Training.select_for_update().get(id=id)
