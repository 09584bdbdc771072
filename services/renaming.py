"""Names that their owner may change."""

from uuid import UUID

from models.errors import InvalidInput, NotFound
from models.lora import LoraModel
from services.text import is_plain
from services.training_input import LONGEST_NAME


async def rename_model(owner: UUID, id: UUID, *, name: str) -> LoraModel:
    """Give a model another name; its trigger word stays. Raises `InvalidInput` and `NotFound`."""
    if not is_plain(name, longest=LONGEST_NAME):
        reason = f"name must have 1 to {LONGEST_NAME} characters and no control characters."
        raise InvalidInput(reason=reason, path=("input", "name"))
    if not await LoraModel.filter(id=id, owner_id=owner, deleted_at=None).update(name=name.strip()):
        raise NotFound(what="model", path=("input", "id"))
    return await LoraModel.get(id=id)
