"""How a picture came to be: what was asked of the provider, with which models, and what was kept."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import strawberry
from strawberry.scalars import JSON

from models.generation import Generation as GenerationRow
from models.generation import GenerationLora
from models.submission import Submission, SubmissionState
from schema.context import Info
from schema.types.fields import computed
from schema.types.training import LoraModel
from services.call_failures import explained


@strawberry.type(description="One paid call to the provider, or one that was skipped.")
class ProviderCall:
    model: str = strawberry.field(description="The model's public name.")
    endpoint: str = strawberry.field(description="What the provider calls it.")
    request_id: str | None = strawberry.field(description="The provider's id of the call, once it has taken it.")
    parameters: JSON = strawberry.field(description="What was sent, without the addresses of files.")
    error: str | None = strawberry.field(description="Why it gave no image, or why it was skipped.")
    skipped: bool = strawberry.field(description="Whether it was not sent, because it cannot honour the request.")
    intended_at: datetime = strawberry.field(description="When it was decided on.")
    accepted_at: datetime | None = strawberry.field(description="When the provider had taken it.")

    @classmethod
    def of_call(cls, row: Submission) -> Self:
        """Show a paid call."""
        return cls(
            model=row.model,
            endpoint=row.endpoint,
            request_id=row.request_id,
            parameters=JSON(without_addresses(row.arguments)),
            error=explained(row),
            skipped=row.state is SubmissionState.SKIPPED,
            intended_at=row.created_at,
            accepted_at=row.accepted_at,
        )


@strawberry.type(description="A trained model in a picture.")
class LoraUse:
    scale: float = strawberry.field(description="How strongly it was used, from 0 to 4.")
    model: LoraModel = strawberry.field(
        description="The model; its training leads on to the photos and the archive. It may have been deleted since."
    )

    @classmethod
    def of_lora(cls, row: GenerationLora) -> Self:
        """Show the use of a model."""
        return cls(scale=row.scale, model=LoraModel.of(row.model))


@strawberry.type(description="How a picture came to be.")
class GenerationProvenance:
    row: strawberry.Private[GenerationRow]

    @computed("The prompt that was sent, trigger words first.")
    def final_prompt(self) -> str | None:
        return self.row.final_prompt

    @computed("The number the picture began from.")
    def seed(self) -> str | None:
        return self.row.seed

    @computed("The model that answered.")
    def model(self) -> str | None:
        return self.row.model

    @computed("Every call to the provider, in order, with its parameters and request id.")
    async def calls(self, info: Info) -> list[ProviderCall]:
        return [ProviderCall.of_call(row) for row in await info.context.loaders.submissions.load(self.row.id)]

    @computed("The trained models it was drawn with, in order.")
    async def loras(self, info: Info) -> list[LoraUse]:
        return [LoraUse.of_lora(row) for row in await info.context.loaders.loras_of_generation.load(self.row.id)]

    @computed("The SHA-256 of the photo it was made from.")
    async def source_photo_sha256(self, info: Info) -> str | None:
        photo = self.row.source_photo_id
        return await info.context.loaders.photo_hash.load(photo) if photo else None

    @computed("The SHA-256 of the kept file, which carries prompt, seed, model and run in its metadata.")
    def content_sha256(self) -> str | None:
        return self.row.content_sha256

    @computed("Where the asset store has the file.")
    def store_id(self) -> str | None:
        return self.row.location

    @computed("Where the provider had put it.")
    def original_fal_url(self) -> str | None:
        return self.row.original_fal_url

    @computed("Its price, in credits.")
    def credits(self) -> int:
        return self.row.credits

    @computed("What was paid, in credits; 0 once they were given back.")
    def credits_spent(self) -> int:
        return self.row.credits_spent


def without_addresses(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call without texts that are addresses: whoever has one can read the file."""
    return {name: _shown(value) for name, value in arguments.items() if not _is_address(value)}


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return without_addresses(value)
    return [_shown(item) for item in value if not _is_address(item)] if isinstance(value, list) else value


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://", "data:"))
