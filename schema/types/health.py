"""What works now."""

import strawberry

from schema.types.fields import computed
from schema.types.node import OfRow
from services.health import HealthReport

VERSION = "0.1.0"  # of pyproject.toml


@strawberry.type(description="What works now.")
class Health(OfRow):
    row: strawberry.Private[HealthReport]
    ok: bool = strawberry.field(description="Whether everything works.")
    database: bool = strawberry.field(description="Whether the database answers.")
    storage: bool = strawberry.field(description="Whether files can be kept.")
    provider: bool = strawberry.field(description="Whether the image provider answers.")
    broken_links: int = strawberry.field(description="How many kept files are known to be gone from the asset store.")
    simulated: bool = strawberry.field(description="Whether the provider is the built-in sandbox.")

    @computed("The server's version.")
    def version(self) -> str:
        return VERSION
