"""What an owner may change about a training: cancel it, or try again."""

from dataclasses import dataclass
from uuid import UUID

from tortoise.exceptions import IntegrityError

from models.errors import AlreadyFinished, Conflict, NotFound
from models.ids import new_id
from models.lora import LoraModel
from models.photo import Photo
from models.status import TrainingStage, TrainingStatus
from models.training import Training, TrainingPhoto
from services import cancelling, training
from services.holding import hold
from services.journal import locked
from services.ports import Clock, Jobs
from services.training_follow import wake_topic
from services.training_journal import TrainingJournal
from services.unit_of_work import after_commit, transactional

RETRYABLE = {TrainingStatus.FAILED, TrainingStatus.CANCELLED}
COPIED = (
    "owner_id", "base_model", "steps", "quality", "is_style", "create_masks", "trigger_word", "gender",
    "instance_prompt", "class_prompt", "lora_rank", "learning_rate", "batch_size", "images_data_url", "input_hash",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainingChanges:
    """Cancels and retries; both may be asked twice.

    A cancel refunds in full up to the moment the provider has finished: until then nothing was delivered. Once the
    weights are being kept (FINALIZING) it is too late, and the training completes.
    """

    clock: Clock
    jobs: Jobs
    journal: TrainingJournal
    price: int
    simulated: bool

    @transactional
    async def cancel(self, owner: UUID, id: UUID) -> Training:
        """End a training now and tell the provider; a cancelled one is returned as it is.

        Raises `NotFound`, and `AlreadyFinished` when it has ended or is being finished.
        """
        await _own(owner, id)
        row = await locked(Training, id)
        if row.status is TrainingStatus.CANCELLED:
            return row
        if row.status.is_final or row.stage is TrainingStage.FINALIZING:
            status = row.status if row.status.is_final else "being finished"
            raise AlreadyFinished(what="training", status=status, path=("input", "id"))
        cancelled = await self.journal.cancel(id)
        after_commit(self.jobs.enqueue, cancelling.RUN, id)
        after_commit(self.journal.journal.bus.publish, wake_topic(id), {"cancelled": str(id)})
        assert cancelled is not None, "its row is locked"
        return cancelled

    async def retry(self, owner: UUID, id: UUID) -> Training:
        """A new attempt of a FAILED or CANCELLED training: same photos and settings, its own reserve, the ZIP reused.

        Asked again, the attempt made before is returned, unless that has failed too. Raises `NotFound`,
        `Conflict` for a training that has not failed, also one that completed late, and `InsufficientCredits`.
        """
        asked = await _own(owner, id)
        if asked.status not in RETRYABLE:
            reason = f"Only a FAILED or CANCELLED training can be tried again; this one is {asked.status}."
            raise Conflict(reason=reason, path=("input", "id"))
        newest = await _newest_attempt(asked)
        if newest.status not in RETRYABLE:
            return newest
        try:
            return await self._again(newest)
        except IntegrityError:
            return await Training.get(retry_of=newest.id)

    @transactional
    async def _again(self, earlier: Training) -> Training:
        before = await LoraModel.get(id=earlier.model_id)
        now = self.clock.now()
        model = LoraModel(
            id=new_id(), owner_id=earlier.owner_id, name=before.name, trigger_word=before.trigger_word,
            base_model=before.base_model, created_at=now,
        )  # fmt: skip
        again = Training(
            id=new_id(), model_id=model.id, retry_of=earlier.id, credits=self.price, credits_spent=self.price,
            simulated=self.simulated, created_at=now, **{name: getattr(earlier, name) for name in COPIED},
        )  # fmt: skip
        photos = await TrainingPhoto.filter(training_id=earlier.id).order_by("position")
        await _hold([photo.photo_id for photo in photos])
        await self.journal.accept(again, model)
        await TrainingPhoto.bulk_create(
            TrainingPhoto(training_id=again.id, photo_id=photo.photo_id, position=photo.position) for photo in photos
        )
        after_commit(self.jobs.enqueue, training.RUN, again.id)
        return again


async def _hold(photos: list[UUID]) -> None:
    try:
        await hold(Photo, photos, what="photo", path=("input", "id"))
    except NotFound:
        raise Conflict(reason="A photo of this training was deleted.", path=("input", "id")) from None


async def _own(owner: UUID, id: UUID) -> Training:
    row = await Training.get_or_none(id=id, owner_id=owner)
    if row is None:
        raise NotFound(what="training", path=("input", "id"))
    return row


async def _newest_attempt(row: Training) -> Training:
    while later := await Training.get_or_none(retry_of=row.id):
        row = later
    return row
