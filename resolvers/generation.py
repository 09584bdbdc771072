"""Generations: start, cancel, follow, list."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from resolvers.problems import bad_input, begun, user_errors
from schema.context import Info
from schema.types.arguments import AfterSeq, GlobalId, Wanted
from schema.types.credits import CostEstimate
from schema.types.generation import Generation, GenerationProgress
from schema.types.generation_input import (
    CancelGenerationInput,
    CancelGenerationPayload,
    GenerateImageInput,
    GenerateImagePayload,
)
from schema.types.node import read_id
from schema.types.paging import After, Connection, First
from schema.types.status import GenerationStatus, GenerationType

OfType = Annotated[GenerationType | None, strawberry.argument(description="Only those of this kind.")]
InStatus = Annotated[GenerationStatus | None, strawberry.argument(description="Only those that stand here.")]
WithModel = Annotated[strawberry.ID | None, strawberry.argument(description="Only those drawn with this model.")]


@user_errors(GenerateImagePayload)
async def start(info: Info, input: Wanted[GenerateImageInput]) -> GenerateImagePayload:
    """Accept 1 to 4 images."""
    context = info.context
    rows = await context.services.generation.start(context.viewer.id, input.wanted())
    return GenerateImagePayload(generations=[Generation.of(row) for row in rows])


@user_errors(CancelGenerationPayload)
async def cancel(info: Info, input: Wanted[CancelGenerationInput]) -> CancelGenerationPayload:
    """End a generation."""
    context = info.context
    row = await context.services.generation_changes.cancel(context.viewer.id, read_id(input.id, "Generation"))
    return CancelGenerationPayload(generation=Generation.of(row))


@bad_input
async def browse(
    info: Info,
    first: First = None,
    after: After = None,
    type: OfType = None,
    model_id: WithModel = None,
    status: InStatus = None,
) -> Connection[Generation]:
    """The viewer's generations."""
    context = info.context
    model = None if model_id is None else read_id(model_id, "LoraModel")
    page = await context.services.generation.browse(
        context.viewer.id, first=first, after=after, type=type, model=model, status=status
    )
    return Connection[Generation].of(page, Generation.of)


async def get(info: Info, id: GlobalId) -> Generation | None:
    """One of the viewer's generations."""
    context = info.context
    return Generation.of_maybe(await context.services.generation.get(context.viewer.id, read_id(id, "Generation")))


@bad_input
async def estimate(info: Info, input: Wanted[GenerateImageInput]) -> CostEstimate:
    """What a generation would cost."""
    context = info.context
    return CostEstimate.of(await context.services.generation.estimate(context.viewer.id, input.wanted()))


@bad_input
async def progress(
    info: Info, generation_id: GlobalId, after_seq: AfterSeq = None
) -> AsyncGenerator[GenerationProgress, None]:
    """A generation's events."""
    context, id = info.context, read_id(generation_id, "Generation")
    events = context.services.generation.follow(context.viewer.id, id, after_seq=after_seq)
    return await begun(events, GenerationProgress.of)
