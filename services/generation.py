"""Generations as their owner sees them: start, follow, list."""

import hashlib
import re
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.expressions import Subquery

from models.errors import Conflict, InvalidInput, ModelNotReady, NotFound
from models.generation import Generation, GenerationEvent, GenerationLora
from models.ids import new_id
from models.lora import LoraModel
from models.status import GenerationType, TrainingStatus
from services.events import Feed
from services.generation_input import LARGEST_SEED, GenerationInput
from services.generation_journal import GenerationJournal
from services.generators import SECONDS_PER_IMAGE, USD_PER_IMAGE
from services.paging import Page, page
from services.ports import Clock, Jobs
from services.trainers import TRAINERS
from services.training import Estimate
from services.trigger_words import with_trigger_words
from services.unit_of_work import after_commit, transactional

RUN = "generation"
LONGEST_SLUG = 80


@dataclass(frozen=True, kw_only=True)
class GenerationService:
    """Starts and shows generations."""

    clock: Clock
    jobs: Jobs
    journal: GenerationJournal
    feed: Feed[GenerationEvent]
    price: int
    simulated: bool

    async def start(self, owner: UUID, wanted: GenerationInput) -> list[Generation]:
        """Accept 1 to 4 images, each a generation with its own reserve, all or none.

        The same `run_id` and input give the same generations in the same order. Raises `InvalidInput`, `NotFound`,
        `ModelNotReady`, `InsufficientCredits`, or `Conflict` for the run id with another input.
        """
        wanted.check()
        if earlier := await _earlier(owner, wanted):
            return earlier
        models = await self._models(owner, wanted)
        try:
            return await self._accept(owner, wanted, models)
        except IntegrityError:
            if earlier := await _earlier(owner, wanted):
                return earlier
            raise

    def estimate(self, wanted: GenerationInput) -> Estimate:
        """The cost of a generation, without starting it. Raises `InvalidInput`."""
        wanted.check()
        count = wanted.num_images
        usd = round(USD_PER_IMAGE * count, 4)
        return Estimate(credits=self.price * count, usd=usd, seconds=SECONDS_PER_IMAGE, simulated=self.simulated)

    async def browse(
        self,
        owner: UUID,
        *,
        first: int | None,
        after: str | None,
        type: GenerationType | None = None,
        model: UUID | None = None,
    ) -> Page[Generation]:
        """A user's generations, newest first."""
        query = Generation.filter(owner_id=owner)
        if type is not None:
            query = query.filter(type=type)
        if model is not None:
            drawn_with = GenerationLora.filter(model_id=model).values("generation_id")
            query = query.filter(id__in=Subquery(drawn_with))
        return await page(query, list_name="generations", first=first, after=after)

    async def get(self, owner: UUID, id: UUID) -> Generation | None:
        """One of a user's own generations."""
        return await Generation.get_or_none(id=id, owner_id=owner)

    async def follow(self, owner: UUID, id: UUID, *, after_seq: int | None) -> AsyncGenerator[GenerationEvent, None]:
        """A generation's events, as `Feed.follow` gives them. Raises `NotFound` for a stranger's."""
        if await self.get(owner, id) is None:
            raise NotFound(what="generation", path=("generationId",))
        async with aclosing(self.feed.follow(id, after_seq=after_seq)) as events:
            async for event in events:
                yield event

    async def _models(self, owner: UUID, wanted: GenerationInput) -> list[LoraModel]:
        """The chosen models: own, ready, and all of one generator."""
        ids = [lora.model for lora in wanted.loras]
        found = {model.id: model for model in await LoraModel.filter(owner_id=owner, id__in=ids)}
        for lora in wanted.loras:
            if lora.model not in found:
                raise NotFound(what="model", path=lora.path)
            if found[lora.model].status is not TrainingStatus.COMPLETED:
                raise ModelNotReady(status=found[lora.model].status, path=lora.path)
        models = [found[id] for id in ids]
        if len({TRAINERS[model.base_model].generator for model in models}) > 1:
            raise InvalidInput(reason="These models do not work together.", path=("input", "loras"))
        return models

    @transactional
    async def _accept(self, owner: UUID, wanted: GenerationInput, models: list[LoraModel]) -> list[Generation]:
        run_id = wanted.run_id or str(new_id())
        stem = await _free_stem(wanted.chosen_type, run_id)
        seed = wanted.seed if wanted.seed is not None else secrets.randbelow(LARGEST_SEED)
        generations = []
        for position in range(wanted.num_images):
            generation = self._row(owner, wanted, models)
            generation.run_id, generation.position = run_id, position
            generation.asset_name = asset_name(stem, wanted.chosen_type, position)
            generation.seed = str((seed + position) % (LARGEST_SEED + 1))
            await self.journal.accept(generation)
            await GenerationLora.bulk_create(
                GenerationLora(generation_id=generation.id, model_id=lora.model, scale=lora.scale, position=place)
                for place, lora in enumerate(wanted.loras)
            )
            after_commit(self.jobs.enqueue, RUN, generation.id)
            generations.append(generation)
        return generations

    def _row(self, owner: UUID, wanted: GenerationInput, models: list[LoraModel]) -> Generation:
        prompt = wanted.prompt or ""
        return Generation(
            id=new_id(),
            owner_id=owner,
            input_hash=wanted.hash,
            type=wanted.chosen_type,
            prompt=prompt,
            final_prompt=with_trigger_words(prompt, [model.trigger_word for model in models]),
            image_size=wanted.image_size,
            credits=self.price,
            credits_spent=self.price,
            simulated=self.simulated,
            created_at=self.clock.now(),
        )


def asset_name(stem: str, type: GenerationType, position: int) -> str:
    """The file's name in the asset store: `{type}_{runId}_{index}`, `ghibli_{runId}` for Ghibli's first (seed 003)."""
    first_ghibli = type is GenerationType.GHIBLI_REACTION and position == 0
    return stem if first_ghibli else f"{stem}_{position}"


async def _free_stem(type: GenerationType, run_id: str) -> str:
    """`{type}_{runId}` in safe characters; a mark is added when it was changed, or when another user has it."""
    slug = re.sub(r"[^A-Za-z0-9-]+", "-", run_id)[:LONGEST_SLUG]
    prefix = "ghibli" if type is GenerationType.GHIBLI_REACTION else type.lower()
    if slug != run_id:
        slug = f"{slug}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"
    stem = f"{prefix}_{slug}"
    taken = await Generation.filter(asset_name__in=[stem, f"{stem}_0"]).exists()
    return f"{stem}-{secrets.token_hex(4)}" if taken else stem


async def _earlier(owner: UUID, wanted: GenerationInput) -> list[Generation]:
    """The generations that the same run id started before. Raises `Conflict` when their input was another."""
    if wanted.run_id is None:
        return []
    earlier = await Generation.filter(owner_id=owner, run_id=wanted.run_id).order_by("position")
    if any(generation.input_hash != wanted.hash for generation in earlier):
        raise Conflict(reason="This runId was used with another input.", path=("input", "runId"))
    return earlier
