"""Deleting: the row is marked in one transaction, its files follow in a durable run, the ledger stays.

A marked row is gone for its owner at once. It stays in the database, because credits were spent on it and other rows
lead through it. The files go after the commit; a sweep repeats what a crash or an absent store left undone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from tortoise.expressions import Q

from models.errors import Conflict, NotFound
from models.generation import Generation, GenerationLora
from models.lora import LoraModel
from models.photo import Photo
from models.status import GenerationStatus, TrainingStatus
from models.training import Training, TrainingPhoto
from services.ports import AssetStore, Clock, Jobs, Run
from services.unit_of_work import after_commit, transactional

RUN = "removal"
FORGOTTEN_AFTER = timedelta(minutes=1)
BATCH = 100
PATH = ("input", "id")
TRAINING_LIVES = [status for status in TrainingStatus if not status.is_final]
GENERATION_LIVES = [status for status in GenerationStatus if not status.is_final]
FILES: Sequence[tuple[type[Any], tuple[str, ...]]] = (
    (Photo, ("location",)),
    (LoraModel, ("weights_location", "config_location")),
    (Generation, ("location",)),
)

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Removal:
    """Deletes what its owner no longer wants; asked again, it answers the same."""

    store: AssetStore
    clock: Clock
    jobs: Jobs

    @property
    def run(self) -> Run:
        """The durable run `removal`, whose id is the deleted row's."""
        return Run(steps=(self.remove_files,), give_up=self.give_up)

    @transactional
    async def delete_photo(self, owner: UUID, id: UUID) -> None:
        """Raises `NotFound`, and `Conflict` while a training or generation that has not ended uses the photo."""
        photo = await _own(Photo, owner, id, what="photo")
        in_training = TrainingPhoto.filter(photo_id=id, training__status__in=TRAINING_LIVES)
        in_generation = Generation.filter(source_photo_id=id, status__in=GENERATION_LIVES)
        if await in_training.exists() or await in_generation.exists():
            raise Conflict(reason="A job that has not ended uses this photo; cancel it or wait.", path=PATH)
        # The same upload may come again, and is then a new photo.
        await self._mark(photo, source_sha256=f"deleted:{id.hex}")

    @transactional
    async def delete_model(self, owner: UUID, id: UUID) -> None:
        """Raises `NotFound`, and `Conflict` while its training or a generation with it has not ended."""
        model = await _own(LoraModel, owner, id, what="model")
        if await Training.filter(model_id=id, status__in=TRAINING_LIVES).exists():
            raise Conflict(reason="The model's training has not ended; cancel it or wait.", path=PATH)
        if await GenerationLora.filter(model_id=id, generation__status__in=GENERATION_LIVES).exists():
            raise Conflict(reason="A generation that has not ended uses this model; cancel it or wait.", path=PATH)
        await self._mark(model)

    @transactional
    async def delete_generation(self, owner: UUID, id: UUID) -> None:
        """Raises `NotFound`, and `Conflict` while it has not ended."""
        generation = await _own(Generation, owner, id, what="generation")
        if not generation.status.is_final:
            raise Conflict(reason="The generation has not ended; cancel it or wait.", path=PATH)
        await self._mark(generation)

    async def remove_files(self, id: UUID) -> None:
        """Remove the files of a deleted row, and note that they are gone."""
        for model, columns in FILES:
            row = await model.get_or_none(id=id, deleted_at__isnull=False, removed_at=None)
            if row is None:
                continue
            for location in filter(None, (getattr(row, column) for column in columns)):
                await self.store.delete(location)
            await model.filter(id=id).update(removed_at=self.clock.now())

    async def give_up(self, id: UUID, error: Exception) -> None:
        """The sweep goes on trying."""
        _log.warning("removal.postponed", row=str(id), reason=str(error))

    async def remove_forgotten(self) -> int:
        """Remove files whose run did not; how many rows are done with."""
        before, done = self.clock.now() - FORGOTTEN_AFTER, 0
        for model, _ in FILES:
            rows = model.filter(deleted_at__lt=before, removed_at=None).order_by("id").limit(BATCH)
            for id in await rows.values_list("id", flat=True):
                await self.remove_files(id)
                done += 1
        return done

    async def _mark(self, row: Any, **columns: Any) -> None:
        if row.deleted_at is None:
            await type(row).filter(id=row.id).update(deleted_at=self.clock.now(), **columns)
            after_commit(self.jobs.enqueue, RUN, row.id)


async def _own(model: type[Any], owner: UUID, id: UUID, *, what: str) -> Any:
    """The row, locked: a job that begins to use it meanwhile waits, or has been seen."""
    row = await model.select_for_update().get_or_none(Q(id=id, owner_id=owner))
    if row is None:
        raise NotFound(what=what, path=PATH)
    return row
