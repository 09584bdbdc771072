"""What the mutations of generations take and answer."""

import strawberry

from models.errors import InvalidInput
from schema.types.generation import Generation
from schema.types.node import read_id, read_key
from schema.types.problem import UserError
from schema.types.status import GenerationType
from services.generation_input import GenerationInput, LoraChoice
from services.generators import DEFAULT_SIZE


@strawberry.input(description="A trained model to draw with.")
class LoraInput:
    model_id: strawberry.ID = strawberry.field(description="A model that is COMPLETED: own, or shared by its owner.")
    scale: float | None = strawberry.field(default=None, description="How strongly, from 0 to 4; 1 when absent.")


@strawberry.input(description="Images to draw. A field that is null counts as absent.")
class GenerateImageInput:
    type: GenerationType | None = strawberry.field(
        default=None,
        description="The kind of picture: that of the preset, else LORA when a model is named, else CUSTOM_PROMPT.",
    )
    prompt: str | None = strawberry.field(
        default=None,
        description="What to draw, 1 to 2000 characters; trigger words are put before it. With a preset, what to add.",
    )
    preset_id: strawberry.ID | None = strawberry.field(
        default=None, description="One of `presets`, by its id or its key; the kind of picture follows from it."
    )
    model_id: strawberry.ID | None = strawberry.field(
        default=None, description="A model that is COMPLETED: own, or shared by its owner; either this or `loras`."
    )
    loras: list[LoraInput] | None = strawberry.field(
        default=None,
        description="Up to 4 different models of one family, with their scales; either these or `modelId`.",
    )
    source_photo_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="One of the viewer's photos: the picture is redrawn from it, and has about its shape, whatever "
        "`imageSize` says. Models that take no photo are passed over; when none is left the request is refused.",
    )
    num_images: int | None = strawberry.field(
        default=None, description="How many images, 1 to 4; each is a generation with its own price. 1 when absent."
    )
    image_size: str | None = strawberry.field(
        default=None,
        description="`square_hd`, `square`, `portrait_4_3`, `portrait_16_9`, `landscape_4_3`, `landscape_16_9`, or "
        "`<width>x<height>` of 256 to 1536 pixels a side; `square_hd` when absent. With `sourcePhotoId` the photo "
        "decides the shape, and this may go unused.",
    )
    seed: int | None = strawberry.field(
        default=None, description="The number the first picture begins from, not negative; random when absent."
    )
    run_id: str | None = strawberry.field(
        default=None,
        description="Any text of 1 to 255 characters. The same run id with the same input gives the same generations, "
        "without deleted ones; with another input, or once all were deleted, it gives CONFLICT.",
    )

    strength: float | None = strawberry.field(
        default=None,
        description="How far to go from the photo, from 0.01 to 1 (nothing of it stays); when absent 0.85, and less "
        "for the kinds that redraw a photo. Only with `sourcePhotoId`.",
    )
    steps: int | None = strawberry.field(
        default=None, description="How many steps the model draws in, as far as it allows: 1 to 50 with most."
    )
    guidance: float | None = strawberry.field(
        default=None,
        description="How closely to follow the prompt, as far as the model allows: 0 to 35 with FLUX, 0 to 20 else.",
    )
    format: str | None = strawberry.field(default=None, description="`png` or `jpeg`; `png` when absent.")

    def wanted(self) -> GenerationInput:
        """The input as the service takes it. Raises `InvalidInput` when both `modelId` and `loras` name models."""
        return GenerationInput(
            type=self.type,
            prompt=self.prompt,
            preset=None if self.preset_id is None else read_key(self.preset_id, "Preset") or self.preset_id,
            loras=self._choices(),
            source_photo=None if self.source_photo_id is None else read_id(self.source_photo_id, "Photo"),
            num_images=1 if self.num_images is None else self.num_images,
            image_size=DEFAULT_SIZE if self.image_size is None else self.image_size,
            seed=self.seed,
            run_id=self.run_id,
            strength=self.strength,
            steps=self.steps,
            guidance=self.guidance,
            format=self.format,
        )

    def _choices(self) -> tuple[LoraChoice, ...]:
        if self.model_id is not None and self.loras:
            raise InvalidInput(reason="modelId or loras may be given, not both.", path=("input", "modelId"))
        if self.model_id is not None:
            return (LoraChoice(model=read_id(self.model_id, "LoraModel")),)
        return tuple(
            LoraChoice(
                model=read_id(lora.model_id, "LoraModel"),
                scale=1.0 if lora.scale is None else lora.scale,
                path=("input", "loras", str(index), "modelId"),
            )
            for index, lora in enumerate(self.loras or ())
        )


@strawberry.type(description="The images that were asked for.")
class GenerateImagePayload:
    generations: list[Generation] = strawberry.field(
        default_factory=list, description="One per image, in order; empty when the request was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was refused.")


@strawberry.input(description="A generation to cancel.")
class CancelGenerationInput:
    id: strawberry.ID = strawberry.field(
        description="One of the viewer's generations that has not ended; one that is CANCELLED already is taken too."
    )


@strawberry.type(description="The generation that was cancelled.")
class CancelGenerationPayload:
    generation: Generation | None = strawberry.field(
        default=None, description="The generation, now CANCELLED; null when it was not cancelled."
    )
    user_errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="Why it was not cancelled: NOT_FOUND, or ALREADY_FINISHED when it has ended or its image is being "
        "kept.",
    )
