"""Requests for pictures on their way in: what they name is looked up, then all of them are written down or none."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from models.errors import InvalidInput, ModelNotReady, NotFound
from models.generation import Generation, GenerationLora
from models.generation_types import GenerationType
from models.ids import new_id
from models.lora import LoraModel
from models.photo import Photo
from models.preset import Preset
from models.status import TrainingStatus
from services import chains
from services.generation_input import LARGEST_SEED, GenerationInput
from services.generation_journal import GenerationJournal
from services.generation_types import asset_name, final_prompt, slug
from services.holding import hold
from services.ports import Clock, Jobs
from services.presets import PresetService
from services.sharing import usable_by
from services.trainers import TRAINERS
from services.unit_of_work import after_commit, transactional

RUN = "generation"


@dataclass(frozen=True, kw_only=True)
class Order:
    """One checked request, with what it names."""

    wanted: GenerationInput
    type: GenerationType
    preset: Preset | None
    triggers: Sequence[str]
    models: tuple[str, ...]

    @property
    def columns(self) -> dict[str, Any]:
        """What is the same for each of its images."""
        template = self.preset.prompt if self.preset else self.type.kind.template
        unwanted = self.preset.negative_prompt if self.preset else None
        return {
            "type": self.type,
            "prompt": self.wanted.prompt,
            "final_prompt": final_prompt(template, prompt=self.wanted.prompt, triggers=self.triggers),
            "preset_key": self.preset.key if self.preset else None,
            "models": list(self.models),
            "parameters": self.wanted.parameters | ({"negative_prompt": unwanted} if unwanted else {}),
            "source_photo_id": self.wanted.source_photo,
            "image_size": self.wanted.image_size,
        }


@dataclass(frozen=True, kw_only=True)
class GenerationIntake:
    """Looks up, checks and accepts requests."""

    clock: Clock
    jobs: Jobs
    journal: GenerationJournal
    presets: PresetService
    price: int
    simulated: bool

    async def order(self, owner: UUID, wanted: GenerationInput) -> Order:
        """A request that can be honoured. Raises `InvalidInput`, `NotFound` and `ModelNotReady`."""
        preset = await self.presets.choose(wanted.preset) if wanted.preset is not None else None
        wanted.check(preset)
        loras = await _chosen_models(owner, wanted)
        photo = wanted.source_photo
        if photo is not None and not await Photo.exists(id=photo, owner_id=owner, deleted_at=None):
            raise NotFound(what="photo", path=("input", "sourcePhotoId"))
        type = wanted.type_with(preset)
        family = TRAINERS[loras[0].base_model].generator if loras else None
        models = chains.models_for(preset.models if preset else type.kind.models, family)
        request = chains.Request(
            photo=photo is not None, words=wanted.prompt is not None, family=family, parameters=wanted.parameters
        )
        chains.check(models, request)
        return Order(
            wanted=wanted, type=type, preset=preset, triggers=[lora.trigger_word for lora in loras], models=models
        )

    @transactional
    async def accept(self, owner: UUID, orders: Sequence[Order], *, run_id: str | None, hash: str) -> list[Generation]:
        """Write down every image of every order under one run, each with its reserve, all or none.

        Raises `InsufficientCredits`, and `IntegrityError` when the owner's run id was taken just now.
        """
        loras = {lora.model for order in orders for lora in order.wanted.loras}
        await hold(LoraModel, loras, what="model", path=("input", "modelId"))
        photos = {order.wanted.source_photo for order in orders if order.wanted.source_photo}
        await hold(Photo, photos, what="photo", path=("input", "sourcePhotoId"))
        run_id = run_id or str(new_id())
        images = [order for order in orders for _ in range(order.wanted.num_images)]
        if len(images) > 1:  # of one its own reserve says the same
            await self.journal.credits.require(owner, self.price * len(images))
        names = await _free_names([order.type for order in images], run_id)
        first = orders[0].wanted.seed
        seed = secrets.randbelow(LARGEST_SEED) if first is None else first
        rows = []
        for position, order in enumerate(images):
            row = self._row(owner, order)
            row.run_id, row.position, row.asset_name, row.input_hash = run_id, position, names[position], hash
            row.seed = str((seed + position) % (LARGEST_SEED + 1))
            await self.journal.accept(row)
            await GenerationLora.bulk_create(
                GenerationLora(generation_id=row.id, model_id=lora.model, scale=lora.scale, position=place)
                for place, lora in enumerate(order.wanted.loras)
            )
            after_commit(self.jobs.enqueue, RUN, row.id)
            rows.append(row)
        return rows

    def _row(self, owner: UUID, order: Order) -> Generation:
        return Generation(
            id=new_id(),
            owner_id=owner,
            credits=self.price,
            credits_spent=self.price,
            simulated=self.simulated,
            created_at=self.clock.now(),
            **order.columns,
        )


async def _chosen_models(owner: UUID, wanted: GenerationInput) -> list[LoraModel]:
    """The chosen models: own or shared, ready, and all of one generator."""
    ids = [lora.model for lora in wanted.loras]
    found = {model.id: model for model in await usable_by(owner).filter(id__in=ids)}
    for lora in wanted.loras:
        if lora.model not in found:
            raise NotFound(what="model", path=lora.path)
        if found[lora.model].status is not TrainingStatus.COMPLETED:
            raise ModelNotReady(status=found[lora.model].status, path=lora.path)
    models = [found[id] for id in ids]
    if len({TRAINERS[model.base_model].generator for model in models}) > 1:
        raise InvalidInput(reason="These models do not work together.", path=("input", "loras"))
    return models


async def _free_names(types: Sequence[GenerationType], run_id: str) -> list[str]:
    """The files' names, marked when another user's run has one of them."""

    def named(stem: str) -> list[str]:
        return [asset_name(type, stem, position) for position, type in enumerate(types)]

    stem = slug(run_id)
    taken = await Generation.filter(asset_name__in=named(stem)).exists()
    return named(f"{stem}-{secrets.token_hex(4)}" if taken else stem)
