"""Models that their owner lets others draw with."""

from dataclasses import dataclass
from uuid import UUID

from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from models.errors import NotFound
from models.lora import LoraModel
from services.ports import Clock


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Shares models, and takes them back."""

    clock: Clock

    async def share(self, owner: UUID, id: UUID, *, shared: bool) -> LoraModel:
        """Let everybody who knows its id draw with a model, or nobody else any more. Raises `NotFound`."""
        since = self.clock.now() if shared else None
        if not await LoraModel.filter(id=id, owner_id=owner, deleted_at=None).update(shared_at=since):
            raise NotFound(what="model", path=("input", "id"))
        return await LoraModel.get(id=id)


def usable_by(user: UUID) -> QuerySet[LoraModel]:
    """The models that a user may draw with: own ones, and those that were shared."""
    return LoraModel.filter(Q(owner_id=user) | Q(shared_at__isnull=False), deleted_at=None)
