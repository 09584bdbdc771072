"""What `generatePack` takes and answers."""

import strawberry

from schema.types.generation import Generation
from schema.types.node import read_id
from schema.types.problem import UserError
from services.packs import PackInput


@strawberry.input(description="A pack to run, one image for each preset. A field that is null counts as absent.")
class GeneratePackInput:
    pack: str = strawberry.field(description="The key of one of `packs`.")
    model_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="A model that is COMPLETED, own or shared by its owner, where the pack's presets take one.",
    )
    source_photo_id: strawberry.ID | None = strawberry.field(
        default=None, description="One of the viewer's photos, for packs that redraw one."
    )
    run_id: str | None = strawberry.field(
        default=None,
        description="Any text of 1 to 255 characters, for `batchProgress` too. The same run id with the same input "
        "gives the same generations, without deleted ones; with another input, or once all were deleted, it gives "
        "CONFLICT.",
    )

    def wanted(self) -> PackInput:
        """The input as the service takes it."""
        return PackInput(
            pack=self.pack,
            model=None if self.model_id is None else read_id(self.model_id, "LoraModel"),
            source_photo=None if self.source_photo_id is None else read_id(self.source_photo_id, "Photo"),
            run_id=self.run_id,
        )


@strawberry.type(description="The images of a pack.")
class GeneratePackPayload:
    generations: list[Generation] = strawberry.field(
        default_factory=list, description="One per preset, in order; empty when the request was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")
