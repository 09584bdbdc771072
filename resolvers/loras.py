"""Trained models: list, rename, share."""

from typing import Annotated

import strawberry

from resolvers.problems import bad_input, user_errors
from schema.context import Info
from schema.types.arguments import GlobalId, Wanted
from schema.types.node import read_id
from schema.types.paging import After, Connection, First
from schema.types.removal import RenameModelInput, RenameModelPayload, ShareModelInput, ShareModelPayload
from schema.types.status import TrainingStatus
from schema.types.training import LoraModel
from services import renaming

InStatus = Annotated[TrainingStatus | None, strawberry.argument(description="Only those that stand here.")]
Search = Annotated[str | None, strawberry.argument(description="Only those whose name has this in it, in any case.")]


@user_errors(RenameModelPayload)
async def rename(info: Info, input: Wanted[RenameModelInput]) -> RenameModelPayload:
    """Give a model another name."""
    id = read_id(input.id, "LoraModel")
    row = await renaming.rename_model(info.context.viewer.id, id, name=input.name)
    return RenameModelPayload(model=LoraModel.of(row))


@user_errors(ShareModelPayload)
async def share(info: Info, input: Wanted[ShareModelInput]) -> ShareModelPayload:
    """Let others draw with a model, or no longer."""
    context, id = info.context, read_id(input.id, "LoraModel")
    return ShareModelPayload(
        model=LoraModel.of(await context.services.sharing.share(context.viewer.id, id, shared=input.shared))
    )


@bad_input
async def browse(
    info: Info, first: First = None, after: After = None, status: InStatus = None, search: Search = None
) -> Connection[LoraModel]:
    """The viewer's models."""
    context = info.context
    page = await context.services.training.browse_models(
        context.viewer.id, first=first, after=after, status=status, search=search
    )
    return Connection[LoraModel].of(page, LoraModel.of)


async def get(info: Info, id: GlobalId) -> LoraModel | None:
    """One of the viewer's models, or one that was shared."""
    context = info.context
    return LoraModel.of_maybe(await context.services.training.get_model(context.viewer.id, read_id(id, "LoraModel")))
