"""Generations as their owner sees them: start, follow, list."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

import stamina
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Subquery

from models.errors import Conflict, NotFound
from models.generation import Generation, GenerationEvent, GenerationLora
from models.status import GenerationStatus, GenerationType
from services import generation_intake
from services.events import Feed
from services.generation_input import LONGEST_RUN_ID, GenerationInput, check_run_id
from services.generation_intake import GenerationIntake
from services.generators import SECONDS_PER_IMAGE, USD_PER_IMAGE
from services.merging import merged
from services.packs import PackInput
from services.paging import Page, page
from services.text import is_plain
from services.training import Estimate

RUN = generation_intake.RUN


@dataclass(frozen=True, kw_only=True)
class GenerationService:
    """Starts and shows generations."""

    intake: GenerationIntake
    feed: Feed[GenerationEvent]

    async def start(self, owner: UUID, wanted: GenerationInput) -> list[Generation]:
        """Accept 1 to 4 images, each a generation with its own reserve, all or none.

        The same `run_id` and input give the same generations in the same order. Raises `InvalidInput`, `NotFound`,
        `ModelNotReady`, `InsufficientCredits`, or `Conflict` for the run id with another input, or when all that it
        started were deleted.
        """
        return await self._start(owner, wanted)

    async def start_pack(self, owner: UUID, wanted: PackInput) -> list[Generation]:
        """Accept one image per preset of a pack under one run, all or none; raises what `start` raises."""
        return await self._start(owner, wanted)

    async def estimate(self, owner: UUID, wanted: GenerationInput) -> Estimate:
        """The cost of a generation, without starting it. Raises `InvalidInput`, `NotFound` and `ModelNotReady`."""
        await self.intake.order(owner, wanted)
        count = wanted.num_images
        return Estimate(
            credits=self.intake.price * count,
            usd=round(USD_PER_IMAGE * count, 4),
            seconds=SECONDS_PER_IMAGE,
            simulated=self.intake.simulated,
        )

    async def browse(
        self,
        owner: UUID,
        *,
        first: int | None,
        after: str | None,
        type: GenerationType | None = None,
        model: UUID | None = None,
        status: GenerationStatus | None = None,
    ) -> Page[Generation]:
        """A user's generations, newest first."""
        query = Generation.filter(owner_id=owner, deleted_at=None)
        if status is not None:
            query = query.filter(status=status)
        if type is not None:
            query = query.filter(type=type)
        if model is not None:
            drawn_with = GenerationLora.filter(model_id=model).values("generation_id")
            query = query.filter(id__in=Subquery(drawn_with))
        return await page(query, list_name="generations", first=first, after=after)

    async def get(self, owner: UUID, id: UUID) -> Generation | None:
        """One of a user's own generations."""
        return await Generation.get_or_none(id=id, owner_id=owner, deleted_at=None)

    async def of_event(self, event: GenerationEvent) -> Generation:
        """The generation that an event is about, also when it was deleted while its owner followed it."""
        return await Generation.get(id=event.generation_id)

    async def follow(self, owner: UUID, id: UUID, *, after_seq: int | None) -> AsyncGenerator[GenerationEvent, None]:
        """A generation's events, as `Feed.follow` gives them. Raises `NotFound` for a stranger's."""
        if await self.get(owner, id) is None:
            raise NotFound(what="generation", path=("generationId",))
        async with aclosing(self.feed.follow(id, after_seq=after_seq)) as events:
            async for event in events:
                yield event

    async def follow_run(self, owner: UUID, run_id: str) -> AsyncGenerator[GenerationEvent, None]:
        """The events of every image of a run: the newest of each, then live ones until all have ended.

        Raises `NotFound` for a run the owner does not have, or of which every image was deleted.
        """
        known = is_plain(run_id, longest=LONGEST_RUN_ID)
        found = Generation.filter(owner_id=owner, run_id=run_id, deleted_at=None)
        rows = await found.order_by("position") if known else []
        if not rows:
            raise NotFound(what="run", path=("runId",))
        async with aclosing(merged([self.feed.follow(row.id) for row in rows])) as events:
            async for event in events:
                yield event

    # A run's unique names can be taken between the look and the insert: by the same run, whose generations are then
    # the answer, or by another user's run of the same id, beside which ours are marked.
    @stamina.retry(on=IntegrityError, attempts=3, timeout=None, wait_initial=0, wait_jitter=0)
    async def _start(self, owner: UUID, wanted: GenerationInput | PackInput) -> list[Generation]:
        if earlier := await _earlier(owner, wanted.run_id, wanted.hash):
            return earlier
        images = [wanted] if isinstance(wanted, GenerationInput) else wanted.images(await self.intake.presets.browse())
        orders = [await self.intake.order(owner, image) for image in images]
        return await self.intake.accept(owner, orders, run_id=wanted.run_id, hash=wanted.hash)


async def _earlier(owner: UUID, run_id: str | None, hash: str) -> list[Generation]:
    """The generations that the same run id started before, without deleted ones.

    Raises `InvalidInput` for the run id, and `Conflict` when their input was another or all of them were deleted.
    """
    check_run_id(run_id)
    if run_id is None:
        return []
    earlier = await Generation.filter(owner_id=owner, run_id=run_id).order_by("position")
    if any(generation.input_hash != hash for generation in earlier):
        raise Conflict(reason="This runId was used with another input.", path=("input", "runId"))
    kept = [generation for generation in earlier if generation.deleted_at is None]
    if earlier and not kept:
        raise Conflict(reason="The images of this runId were deleted.", path=("input", "runId"))
    return kept
