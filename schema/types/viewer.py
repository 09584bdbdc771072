"""The person who asks."""

import strawberry

from models.user import User
from schema.context import Info
from schema.types.credits import Quota
from schema.types.fields import computed
from schema.types.node import OfRow, global_id


@strawberry.type(description="The person who is signed in.")
class Viewer(OfRow):
    row: strawberry.Private[User]
    telegram_id: str | None = strawberry.field(description="Their Telegram id, when they came from there.")

    @computed("The person's id; opaque.")
    def id(self) -> strawberry.ID:
        return global_id("Viewer", self.row.id)

    @computed("What they may spend.")
    async def quota(self, info: Info) -> Quota:
        return Quota.of(await info.context.services.credits.quota(self.row.id))
