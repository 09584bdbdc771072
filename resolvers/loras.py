"""Trained models: list."""

from resolvers.problems import bad_input
from schema.context import Info
from schema.types.arguments import GlobalId
from schema.types.node import read_id
from schema.types.paging import After, Connection, First
from schema.types.training import LoraModel


@bad_input
async def browse(info: Info, first: First = None, after: After = None) -> Connection[LoraModel]:
    """The viewer's models."""
    context = info.context
    page = await context.services.training.browse_models(context.viewer.id, first=first, after=after)
    return Connection[LoraModel].of(page, LoraModel.of)


async def get(info: Info, id: GlobalId) -> LoraModel | None:
    """One of the viewer's models."""
    context = info.context
    return LoraModel.of_maybe(await context.services.training.get_model(context.viewer.id, read_id(id, "LoraModel")))
