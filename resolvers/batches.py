"""Several images at once: run a pack, follow a run."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from resolvers.problems import bad_input, begun, user_errors
from schema.context import Info
from schema.types.arguments import Wanted
from schema.types.generation import Generation, GenerationProgress
from schema.types.pack_input import GeneratePackInput, GeneratePackPayload

RunId = Annotated[str, strawberry.argument(description="The `runId` that the generations share.")]


@user_errors(GeneratePackPayload)
async def start_pack(info: Info, input: Wanted[GeneratePackInput]) -> GeneratePackPayload:
    """Accept one image per preset."""
    context = info.context
    rows = await context.services.generation.start_pack(context.viewer.id, input.wanted())
    return GeneratePackPayload(generations=[Generation.of(row) for row in rows])


@bad_input
async def progress(info: Info, run_id: RunId) -> AsyncGenerator[GenerationProgress, None]:
    """The events of every image of a run."""
    context = info.context
    events = context.services.generation.follow_run(context.viewer.id, run_id)
    return await begun(events, GenerationProgress.of)
