"""Trainings as their owner sees them: start, follow, list."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from tortoise.exceptions import IntegrityError

from models.errors import Conflict, NotFound
from models.ids import new_id
from models.lora import LoraModel
from models.photo import Photo
from models.status import TrainingStatus
from models.training import Training, TrainingEvent, TrainingPhoto
from services.events import Feed
from services.holding import hold
from services.paging import Page, page
from services.photos import PhotoService
from services.ports import Clock, Jobs
from services.sharing import usable_by
from services.text import has_control
from services.training_input import LONGEST_NAME, TrainingInput
from services.training_journal import TrainingJournal
from services.trigger_words import class_prompt, instance_prompt, suggest_trigger_word
from services.unit_of_work import after_commit, transactional

RUN = "training"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a job will cost: our credits, the provider's dollars and about how long it takes, when known."""

    credits: int
    usd: float | None
    seconds: int | None
    simulated: bool


@dataclass(frozen=True, kw_only=True)
class TrainingService:
    """Starts and shows trainings."""

    clock: Clock
    jobs: Jobs
    photos: PhotoService
    journal: TrainingJournal
    feed: Feed[TrainingEvent]
    price: int
    min_photos: int
    max_photos: int
    simulated: bool

    async def start(self, owner: UUID, wanted: TrainingInput) -> Training:
        """Accept a training: model, training, reserve and first event in one transaction; the run follows it.

        The same idempotency key and input give the same training. Raises `InvalidInput`, `NotFound`,
        `NotEnoughPhotos`, `TooManyPhotos`, `InsufficientCredits`, or `Conflict` for the key with another input.
        """
        wanted.check(min_photos=self.min_photos, max_photos=self.max_photos)
        if earlier := await _earlier(owner, wanted):
            return earlier
        photos = await self.photos.own(owner, list(dict.fromkeys(wanted.photo_ids or ())))
        try:
            return await self._accept(owner, wanted, photos)
        except IntegrityError:
            if earlier := await _earlier(owner, wanted):
                return earlier
            raise

    def estimate(self, wanted: TrainingInput) -> Estimate:
        """The cost of a training, without starting it. Raises what `start` raises for bad input."""
        wanted.check(min_photos=self.min_photos, max_photos=self.max_photos)
        usd = wanted.trainer.usd_per_1000_steps * wanted.chosen_steps / 1000
        seconds = expected_seconds(wanted.chosen_steps)
        return Estimate(credits=self.price, usd=round(usd, 4), seconds=round(seconds), simulated=self.simulated)

    async def browse(
        self,
        owner: UUID,
        *,
        first: int | None,
        after: str | None,
        status: TrainingStatus | None,
        model: UUID | None = None,
    ) -> Page[Training]:
        """A user's trainings, newest first."""
        query = Training.filter(owner_id=owner)
        if status is not None:
            query = query.filter(status=status)
        if model is not None:
            query = query.filter(model_id=model)
        return await page(query, list_name="trainings", first=first, after=after)

    async def get(self, owner: UUID, id: UUID) -> Training | None:
        """One of a user's own trainings."""
        return await Training.get_or_none(id=id, owner_id=owner)

    async def browse_models(
        self,
        owner: UUID,
        *,
        first: int | None,
        after: str | None,
        status: TrainingStatus | None = None,
        search: str | None = None,
    ) -> Page[LoraModel]:
        """A user's models, newest first; `search` is a part of the name in any case."""
        query = LoraModel.filter(owner_id=owner, deleted_at=None)
        if status is not None:
            query = query.filter(status=status)
        if search is not None:
            query = query.filter(name__icontains=search) if _may_be_in_a_name(search) else query.filter(id__in=())
        return await page(query, list_name="models", first=first, after=after)

    async def get_model(self, owner: UUID, id: UUID) -> LoraModel | None:
        """One of a user's own models, or one that was shared."""
        return await usable_by(owner).get_or_none(id=id)

    async def follow(self, owner: UUID, id: UUID, *, after_seq: int | None) -> AsyncGenerator[TrainingEvent, None]:
        """A training's events, as `Feed.follow` gives them. Raises `NotFound` for a stranger's."""
        if await self.get(owner, id) is None:
            raise NotFound(what="training", path=("trainingId",))
        async with aclosing(self.feed.follow(id, after_seq=after_seq)) as events:
            async for event in events:
                yield event

    @transactional
    async def _accept(self, owner: UUID, wanted: TrainingInput, photos: list[Photo]) -> Training:
        model, training = self._rows(owner, wanted)
        await hold(Photo, [photo.id for photo in photos], what="photo", path=("input", "photoIds"))
        await self.journal.accept(training, model)
        await TrainingPhoto.bulk_create(
            TrainingPhoto(training_id=training.id, photo_id=photo.id, position=position)
            for position, photo in enumerate(photos, start=1)
        )
        after_commit(self.jobs.enqueue, RUN, training.id)
        return training

    def _rows(self, owner: UUID, wanted: TrainingInput) -> tuple[LoraModel, Training]:
        trigger = wanted.trigger_word or suggest_trigger_word(wanted.model_name)
        shared = {"owner_id": owner, "trigger_word": trigger, "base_model": wanted.base_model}
        shared["created_at"] = self.clock.now()
        model = LoraModel(id=new_id(), name=wanted.model_name.strip(), **shared)
        training = Training(
            id=new_id(),
            model_id=model.id,
            steps=wanted.chosen_steps,
            quality=wanted.quality,
            is_style=wanted.is_style,
            create_masks=wanted.create_masks and not wanted.is_style,
            gender=wanted.gender,
            instance_prompt=instance_prompt(trigger, wanted.gender, is_style=wanted.is_style),
            class_prompt=class_prompt(wanted.gender, is_style=wanted.is_style),
            lora_rank=wanted.lora_rank,
            learning_rate=wanted.learning_rate,
            batch_size=wanted.batch_size,
            images_data_url=wanted.images_data_url,
            idempotency_key=wanted.idempotency_key,
            input_hash=wanted.hash,
            credits=self.price,
            credits_spent=self.price,
            simulated=self.simulated,
            **shared,
        )
        return model, training


def _may_be_in_a_name(text: str) -> bool:
    return len(text) <= LONGEST_NAME and not has_control(text)


def expected_seconds(steps: int) -> float:
    """About how long a training takes: 6 minutes per 1000 steps, and 20 seconds around it."""
    return 20 + steps * 0.36


async def _earlier(owner: UUID, wanted: TrainingInput) -> Training | None:
    """The training that the same key started before. Raises `Conflict` when its input was another."""
    if wanted.idempotency_key is None:
        return None
    earlier = await Training.get_or_none(owner_id=owner, idempotency_key=wanted.idempotency_key)
    if earlier is not None and earlier.input_hash != wanted.hash:
        reason = "This idempotencyKey was used with another input."
        raise Conflict(reason=reason, path=("input", "idempotencyKey"))
    return earlier
