"""Reads for many objects at once: one query each, the answers in the order of the ids.

The ids come from rows their owner was allowed to see, so nothing is checked here.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from tortoise.expressions import F

from models.generation import GenerationLora
from models.lora import LoraModel
from models.photo import Photo
from models.preset import Preset
from models.submission import Submission
from models.training import Training, TrainingEvent, TrainingPhoto

Found = TypeVar("Found")


async def models(ids: Sequence[UUID]) -> list[LoraModel]:
    """The models with these ids."""
    found = {model.id: model for model in await LoraModel.filter(id__in=set(ids))}
    return [found[id] for id in ids]


async def trainings_of_models(ids: Sequence[UUID]) -> list[Training | None]:
    """The training of each model."""
    found = {training.model_id: training for training in await Training.filter(model_id__in=set(ids))}
    return [found.get(id) for id in ids]


async def photos_of_trainings(ids: Sequence[UUID]) -> list[list[Photo]]:
    """The photos of each training, in order, without deleted ones; none when it was started with the URL of a ZIP."""
    rows = (
        await TrainingPhoto.filter(training_id__in=set(ids), photo__deleted_at=None)
        .order_by("position")
        .select_related("photo")
    )
    return _grouped(ids, ((row.training_id, row.photo) for row in rows))


async def photo_hashes_of_trainings(ids: Sequence[UUID]) -> list[list[str]]:
    """The SHA-256 of each training's photos, in order, deleted ones too."""
    rows = await TrainingPhoto.filter(training_id__in=set(ids)).order_by("position").select_related("photo")
    return _grouped(ids, ((row.training_id, row.photo.sha256) for row in rows))


async def photo_hashes(ids: Sequence[UUID]) -> list[str]:
    """The SHA-256 of each photo, deleted ones too."""
    found = dict(await Photo.filter(id__in=set(ids)).values_list("id", "sha256"))
    return [found[id] for id in ids]


async def latest_events(ids: Sequence[UUID]) -> list[TrainingEvent | None]:
    """The newest event of each training: the one whose number its row carries."""
    newest = TrainingEvent.filter(training_id__in=set(ids)).annotate(newest=F("training__seq"))
    rows = await newest.filter(seq=F("newest"))
    found = {event.training_id: event for event in rows}
    return [found.get(id) for id in ids]


async def submissions_of_jobs(ids: Sequence[UUID]) -> list[list[Submission]]:
    """The paid calls of each training or generation, the first attempt first."""
    rows = await Submission.filter(job_id__in=set(ids)).order_by("attempt")
    return _grouped(ids, ((row.job_id, row) for row in rows))


async def models_of_generations(ids: Sequence[UUID]) -> list[list[LoraModel]]:
    """The models each generation draws with, in order."""
    return [[lora.model for lora in loras] for loras in await loras_of_generations(ids)]


async def loras_of_generations(ids: Sequence[UUID]) -> list[list[GenerationLora]]:
    """The models each generation draws with, and their scales, in order."""
    rows = await GenerationLora.filter(generation_id__in=set(ids)).order_by("position").select_related("model")
    return _grouped(ids, ((row.generation_id, row) for row in rows))


async def presets(keys: Sequence[str]) -> list[Preset | None]:
    """The presets with these keys."""
    found = {preset.key: preset for preset in await Preset.filter(key__in=set(keys))}
    return [found.get(key) for key in keys]


def _grouped(ids: Sequence[UUID], pairs: Iterable[tuple[UUID, Found]]) -> list[list[Found]]:
    groups: dict[UUID, list[Found]] = defaultdict(list)
    for id, found in pairs:
        groups[id].append(found)
    return [groups[id] for id in ids]
