"""Generated pictures and their progress."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from models.generation import Generation as GenerationRow
from models.generation import GenerationEvent
from models.submission import Submission, SubmissionState
from schema.context import Info
from schema.types.fields import computed
from schema.types.node import Node, OfRow
from schema.types.preset import Preset
from schema.types.problem import JobError, LikenessError, bad_input
from schema.types.provenance import GenerationProvenance
from schema.types.status import GenerationStatus, GenerationType, ImageFormat
from schema.types.training import LoraModel
from services import picture_links
from services.call_failures import explained
from services.events import missed_before

Width = Annotated[int | None, strawberry.argument(description="The widest it may be, in pixels; any when absent.")]
Height = Annotated[int | None, strawberry.argument(description="The highest it may be, in pixels; any when absent.")]
Format = Annotated[ImageFormat | None, strawberry.argument(description="The file format; that of the image if absent.")]


@strawberry.type(description="One model that was tried for a generation.")
class GenerationAttempt:
    model: str = strawberry.field(description="The model's public name.")
    fal_job_id: str | None = strawberry.field(description="The provider's id of the job, once it has taken it.")
    error: str | None = strawberry.field(description="Why it gave no image, or why it was skipped.")
    skipped: bool = strawberry.field(description="Whether it was not asked, because it cannot honour the request.")

    @classmethod
    def of_call(cls, row: Submission) -> Self:
        """Show a paid call, or one that was skipped."""
        skipped = row.state is SubmissionState.SKIPPED
        return cls(model=row.model, fal_job_id=row.request_id, error=explained(row), skipped=skipped)


@strawberry.type(description="One picture.")
class Generation(Node):
    row: strawberry.Private[GenerationRow]
    type: GenerationType = strawberry.field(description="The kind of picture.")
    status: GenerationStatus = strawberry.field(description="Where it stands.")
    prompt: str | None = strawberry.field(description="The prompt as it was given, null when none was.")
    final_prompt: str | None = strawberry.field(description="The prompt that is sent, trigger words first.")
    original_fal_url: str | None = strawberry.field(
        description="Where the provider put the image; that address dies, so use it for reference only."
    )
    permanent: bool = strawberry.field(
        description="Whether `imageUrl` is our own copy; false while it is still being kept."
    )
    model: str | None = strawberry.field(description="The model that answered.")
    seed: str | None = strawberry.field(description="The number the picture began from; a string, as it can be large.")
    width: int | None = strawberry.field(description="The width, in pixels, once the image is kept.")
    height: int | None = strawberry.field(description="The height, in pixels, once the image is kept.")
    credits_spent: int = strawberry.field(description="Its price, in credits; 0 once they were given back.")
    simulated: bool = strawberry.field(description="Whether the sandbox drew it.")
    created_at: datetime = strawberry.field(description="When it was accepted.")
    completed_at: datetime | None = strawberry.field(description="When it ended, well or not.")
    run_id: str = strawberry.field(description="Shared by the images of one `generateImage`.")
    placeholder: str | None = strawberry.field(
        description="A blurred miniature as a `data:` URI of at most 400 characters, once the image is kept."
    )

    @computed("The preset it was made after.")
    async def preset(self, info: Info) -> Preset | None:
        key = self.row.preset_key
        return None if key is None else Preset.of_maybe(await info.context.loaders.preset.load(key))

    @computed("The trained models it draws with, in order.")
    async def lora_models(self, info: Info) -> list[LoraModel]:
        return [LoraModel.of(row) for row in await info.context.loaders.models_of_generation.load(self.row.id)]

    @computed("Where the image is: our copy, or the provider's while ours is still being made.")
    def image_url(self, info: Info) -> str | None:
        return picture_links.image_url(info.context.services.store, self.row)

    @computed(
        "The image in another size or format, made when it is first asked for: as large as fits into the box, "
        "proportions kept, never enlarged. Sides go up to the next of 64, 128, 256, 512, 1024 and 1536 pixels. "
        "While our copy is still being made, `imageUrl`."
    )
    def url(self, info: Info, width: Width = None, height: Height = None, format: Format = None) -> str | None:
        store = info.context.services.store
        try:
            return picture_links.variant_url(store, self.row, width=width, height=height, format=format)
        except LikenessError as error:
            raise bad_input(error) from error

    @computed("The image as a WebP that fits into 256 x 256 pixels, for galleries.")
    def thumbnail_url(self, info: Info) -> str | None:
        return picture_links.thumbnail_url(info.context.services.store, self.row)

    @computed("How it came to be: prompt, seed, models, calls to the provider, prices, hashes.")
    def provenance(self) -> GenerationProvenance:
        return GenerationProvenance(row=self.row)

    @computed("The provider's id of the job that made it, or the last one asked.")
    async def fal_job_id(self, info: Info) -> str | None:
        return fal_job_id(self.row, await info.context.loaders.submissions.load(self.row.id))

    @computed("The models that were tried, in order.")
    async def attempts(self, info: Info) -> list[GenerationAttempt]:
        return [GenerationAttempt.of_call(row) for row in await info.context.loaders.submissions.load(self.row.id)]

    @computed("Why it FAILED.")
    def error(self) -> JobError | None:
        return JobError.of_job(self.row)


@strawberry.type(description="One step of a generation's progress.")
class GenerationProgress(OfRow):
    row: strawberry.Private[GenerationEvent]
    seq: int = strawberry.field(
        description="The step's number: 1, 2, 3 ... per generation, without a gap but for `missed`."
    )
    status: GenerationStatus = strawberry.field(description="Where the generation stood.")
    queue_position: int | None = strawberry.field(description="How many jobs the provider does first, while waiting.")
    message: str = strawberry.field(description="What is happening, for people.")
    at: datetime = strawberry.field(description="When this was so.")

    @computed(
        "How many steps before this one were left out, because the connection was more than 100 behind; 0 normally. "
        "The last step is never left out, and `afterSeq` gives those that were."
    )
    def missed(self) -> int:
        return missed_before(self.row)

    @computed("The generation as it is now, so that client caches update themselves.")
    async def generation(self, info: Info) -> Generation:
        return Generation.of(await info.context.services.generation.of_event(self.row))


def fal_job_id(row: GenerationRow, calls: list[Submission]) -> str | None:
    """The provider's request id; once a model has answered without one, `{model}_{runId}` in its place (seed 003)."""
    accepted = next((call.request_id for call in reversed(calls) if call.request_id), None)
    if accepted or row.fal_job_id or row.model is None:
        return accepted or row.fal_job_id
    return f"{row.model.lower().replace(' ', '_')}_{row.run_id}"
