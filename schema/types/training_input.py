"""What the mutations of trainings take and answer."""

import strawberry

from schema.types.node import read_id, read_key
from schema.types.problem import UserError
from schema.types.status import SubjectGender, TrainingQuality
from schema.types.training import Training
from services.trainers import DEFAULT_TRAINER
from services.training_input import TrainingInput


@strawberry.input(description="A training to start. A field that is null counts as absent.")
class StartTrainingInput:
    model_name: str = strawberry.field(description="The model's name, 1 to 100 characters.")
    photo_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="The viewer's own photos to learn from; either these or `imagesDataUrl`."
    )
    images_data_url: str | None = strawberry.field(
        default=None, description="The https address of a ready ZIP of photos; either this or `photoIds`."
    )
    trigger_word: str | None = strawberry.field(
        default=None,
        description="The word that stands for the subject in prompts, 1 to 50 letters, digits, _, - and single spaces; "
        "made from `modelName` when absent, as in `MY_PORTRAIT_2025_A3F2`.",
    )
    gender: SubjectGender | None = strawberry.field(default=None, description="Who the photos show.")
    quality: TrainingQuality | None = strawberry.field(
        default=None, description="How thoroughly to train; QUALITY when absent."
    )
    steps: int | None = strawberry.field(
        default=None, description="How many steps to train, 1 to 10000; wins over `quality`."
    )
    is_style: bool | None = strawberry.field(
        default=None, description="Whether to learn a style, and not a subject; false when absent."
    )
    create_masks: bool | None = strawberry.field(
        default=None, description="Whether to weigh the subject over the background; true when absent."
    )
    base_model_id: strawberry.ID | None = strawberry.field(
        default=None, description="One of `baseModels`; FLUX.1 dev, fast training, when absent."
    )
    lora_rank: int | None = strawberry.field(
        default=None, description="Kept with the training, 1 to 128; sent only to a trainer that takes it."
    )
    learning_rate: float | None = strawberry.field(
        default=None, description="Kept with the training; sent only to a trainer that takes it."
    )
    batch_size: int | None = strawberry.field(
        default=None, description="Kept with the training, 1 to 32; sent only to a trainer that takes it."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="Any text of 1 to 255 characters. The same key with the same input gives the same training; with "
        "another input it gives CONFLICT.",
    )

    def wanted(self) -> TrainingInput:
        """The input as the service takes it."""
        photos = None if self.photo_ids is None else tuple(read_id(id, "Photo") for id in self.photo_ids)
        return TrainingInput(
            model_name=self.model_name,
            photo_ids=photos,
            images_data_url=self.images_data_url,
            trigger_word=self.trigger_word,
            gender=self.gender,
            quality=self.quality,
            steps=self.steps,
            is_style=bool(self.is_style),
            create_masks=self.create_masks is not False,
            base_model=DEFAULT_TRAINER if self.base_model_id is None else read_key(self.base_model_id, "BaseModel"),
            lora_rank=self.lora_rank,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            idempotency_key=self.idempotency_key,
        )


@strawberry.type(description="The training that was started.")
class StartTrainingPayload:
    training: Training | None = strawberry.field(
        default=None, description="The training, as it was accepted; null when it was not."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description="Why it was not started.")


@strawberry.input(description="A training to cancel.")
class CancelTrainingInput:
    id: strawberry.ID = strawberry.field(
        description="One of the viewer's trainings that has not ended; one that is CANCELLED already is taken too."
    )


@strawberry.type(description="The training that was cancelled.")
class CancelTrainingPayload:
    training: Training | None = strawberry.field(
        default=None, description="The training, now CANCELLED; null when it was not cancelled."
    )
    user_errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="Why it was not cancelled: NOT_FOUND, or ALREADY_FINISHED when it has ended or its result is being "
        "kept.",
    )


@strawberry.input(description="A training to try again.")
class RetryTrainingInput:
    id: strawberry.ID = strawberry.field(description="One of the viewer's trainings that is FAILED or CANCELLED.")


@strawberry.type(description="The training that is tried again.")
class RetryTrainingPayload:
    training: Training | None = strawberry.field(
        default=None,
        description="The training of the new attempt, or of the one that was begun before; null when there is none.",
    )
    user_errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="Why it is not tried again: NOT_FOUND, CONFLICT when it has not failed, or INSUFFICIENT_CREDITS.",
    )
