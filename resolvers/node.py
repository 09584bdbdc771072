"""Any object by its id."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from resolvers import base_models, generation, ledger, loras, photos, presets, training
from schema.context import Info
from schema.types.arguments import GlobalId
from schema.types.node import Node, split_id

GETTERS: Mapping[str, Callable[[Any, Any], Awaitable[Node | None]]] = {
    "BaseModel": base_models.get,
    "Generation": generation.get,
    "LedgerPosting": ledger.get,
    "LoraModel": loras.get,
    "Photo": photos.get,
    "Preset": presets.get,
    "Training": training.get,
}


async def get(info: Info, id: GlobalId) -> Node | None:
    """An object of the viewer's, or one that everybody may see."""
    type_name, _ = split_id(id)
    return await GETTERS[type_name](info, id) if type_name in GETTERS else None
