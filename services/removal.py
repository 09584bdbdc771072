"""Deleting: the row is marked in one transaction, its files follow in a durable run, the ledger stays.

A marked row is gone for its owner at once. It stays in the database, because credits were spent on it and other rows
lead through it. The files go after the commit; a sweep repeats what a crash or an absent store left undone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from tortoise.expressions import Q

from models.errors import Conflict, NotFound
from models.generation import Generation, GenerationLora
from models.link import BrokenLink
from models.lora import LoraModel
from models.photo import Photo
from models.status import GenerationStatus, TrainingStatus
from models.training import Training, TrainingPhoto
from services.pictures import KINDS
from services.ports import AssetKind, AssetStore, Clock, Jobs, Run, StoreKeyRefused, StoreRefused
from services.training_finish import config_name, weights_name
from services.unit_of_work import after_commit, transactional

RUN = "removal"
FORGOTTEN_AFTER = timedelta(minutes=1)
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
            locations = {column: getattr(row, column) for column in columns}
            for location in filter(None, locations.values()):
                await self.store.delete(location)
            for kind, name in _left_by(row):
                await self.store.forget(kind, name)
            # A late success may have named its file meanwhile; the row then stays for the sweep.
            await model.filter(id=id, **locations).update(removed_at=self.clock.now())

    async def give_up(self, id: UUID, error: Exception) -> None:
        """The sweep goes on trying."""
        _log.warning("removal.postponed", row=str(id), reason=str(error))

    async def remove_forgotten(self) -> int:
        """Remove files whose run did not; how many rows are done with.

        A file that the store refuses to remove does not keep the others.
        """
        before, done = self.clock.now() - FORGOTTEN_AFTER, 0
        for model, _ in FILES:
            rows = model.filter(deleted_at__lt=before, removed_at=None).order_by("id")
            for id in await rows.values_list("id", flat=True):
                try:
                    await self.remove_files(id)
                    done += 1
                except StoreKeyRefused:
                    raise
                except StoreRefused as error:
                    await self.give_up(id, error)
        return done

    async def _mark(self, row: Any, **columns: Any) -> None:
        if row.deleted_at is None:
            await type(row).filter(id=row.id).update(deleted_at=self.clock.now(), **columns)
            await BrokenLink.filter(row_id=row.id).delete()
            after_commit(self.jobs.enqueue, RUN, row.id)


async def remove_again(model: type[Any], id: UUID) -> None:
    """Leave a row to the sweep when it is deleted: a file of it may have come back."""
    await model.filter(id=id, deleted_at__isnull=False).update(removed_at=None)


def _left_by(row: Any) -> Iterator[tuple[AssetKind, str]]:
    """The files that a job may have put before it ended without naming them in its row."""
    if isinstance(row, LoraModel) and row.weights_location is None:
        yield from ((AssetKind.WEIGHTS, name(row.id)) for name in (weights_name, config_name))
    if isinstance(row, Generation) and row.location is None:
        yield from ((AssetKind.IMAGE, f"{row.asset_name}{extension}") for _, extension in KINDS.values())


async def _own(model: type[Any], owner: UUID, id: UUID, *, what: str) -> Any:
    """The row, locked: a job that begins to use it meanwhile waits, or has been seen."""
    row = await model.select_for_update().get_or_none(Q(id=id, owner_id=owner))
    if row is None:
        raise NotFound(what=what, path=PATH)
    return row
