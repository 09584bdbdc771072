"""Trainings, the models they make and their progress; they lead to each other, so they are defined together."""

from datetime import datetime

import strawberry
from strawberry.scalars import JSON

from models.lora import LoraModel as LoraModelRow
from models.training import Training as TrainingRow
from models.training import TrainingEvent
from schema.context import Info
from schema.types.base_model import BaseModel
from schema.types.fields import computed
from schema.types.node import Node, OfRow
from schema.types.photo import Photo
from schema.types.problem import JobError
from schema.types.status import SubjectGender, TrainingStage, TrainingStatus
from services.events import missed_before
from services.trainers import trainer_for


@strawberry.type(description="One step of a training's progress.")
class TrainingProgress(OfRow):
    row: strawberry.Private[TrainingEvent]
    known: strawberry.Private["Training | None"] = None
    seq: int = strawberry.field(
        description="The step's number: 1, 2, 3 ... per training, without a gap but for `missed`."
    )
    status: TrainingStatus = strawberry.field(description="Where the training stood.")
    stage: TrainingStage | None = strawberry.field(description="What it was doing; null before the work began.")
    percent: float = strawberry.field(
        description="How much of the whole is done, from 0 to 100; never falls, and is 100 only when COMPLETED."
    )
    stage_percent: float | None = strawberry.field(description="How much of the stage is done, from 0 to 100.")
    step: int | None = strawberry.field(description="The training step the provider has reached.")
    total_steps: int | None = strawberry.field(description="How many training steps there will be.")
    queue_position: int | None = strawberry.field(description="How many jobs the provider does first, while waiting.")
    eta_seconds: int | None = strawberry.field(description="About how many seconds the provider still needs.")
    message: str = strawberry.field(description="What is happening, for people.")
    at: datetime = strawberry.field(description="When this was so.")

    @computed(
        "How many steps before this one were left out, because the connection was more than 100 behind; 0 normally. "
        "The last step is never left out, and `afterSeq` gives those that were."
    )
    def missed(self) -> int:
        return missed_before(self.row)

    @computed("The training as it is now, so that client caches update themselves.")
    async def training(self, info: Info) -> "Training":
        if self.known is not None:
            return self.known
        row = await info.context.services.training.get(info.context.viewer.id, self.row.training_id)
        assert row is not None, "trainings are never deleted"
        return Training.of(row)


@strawberry.type(description="A personal model, made by a training.")
class LoraModel(Node):
    row: strawberry.Private[LoraModelRow]
    name: str = strawberry.field(description="Its name, as given to `startTraining`.")
    trigger_word: str = strawberry.field(description="The word that stands for its subject in prompts.")
    status: TrainingStatus = strawberry.field(description="That of its training; COMPLETED means it can be used.")
    created_at: datetime = strawberry.field(description="When its training was accepted.")
    weights_sha256: str | None = strawberry.field(description="The SHA-256 of the weights, once they are kept.")
    shared_at: datetime | None = strawberry.field(
        description="Since when others may draw with it, too (`shareModel`); null while only its owner may."
    )
    deleted_at: datetime | None = strawberry.field(
        description="When its owner deleted it; it then shows only as what other things were made with."
    )

    @computed(
        "Where our copy of the weights can be fetched for a while; null until COMPLETED, once deleted, and for all but "
        "its owner."
    )
    def model_url(self, info: Info) -> str | None:
        return self._url(info, self.row.weights_location)

    @computed("Where our copy of the training's configuration can be fetched, if there is one, by its owner.")
    def config_url(self, info: Info) -> str | None:
        return self._url(info, self.row.config_location)

    @computed("The training that makes or made it; null for all but its owner.")
    async def training(self, info: Info) -> "Training | None":
        if self.row.owner_id != info.context.viewer.id:
            return None
        return Training.of_maybe(await info.context.loaders.training_of_model.load(self.row.id))

    def _url(self, info: Info, location: str | None) -> str | None:
        is_open = self.row.deleted_at is None and self.row.owner_id == info.context.viewer.id
        return info.context.services.store.url(location) if location and is_open else None


@strawberry.type(description="One training of a personal model.")
class Training(Node):
    row: strawberry.Private[TrainingRow]
    status: TrainingStatus = strawberry.field(description="Where it stands.")
    stage: TrainingStage | None = strawberry.field(description="What it is doing; null before the work begins.")
    steps: int = strawberry.field(description="How many steps the provider trains.")
    is_style: bool = strawberry.field(description="Whether a style is learned, and not a subject.")
    create_masks: bool = strawberry.field(description="Whether the trainer weighs the subject over the background.")
    trigger_word: str = strawberry.field(description="The word that stands for the subject in prompts.")
    instance_prompt: str = strawberry.field(description="What the photos are said to show.")
    class_prompt: str | None = strawberry.field(description="What the subject is one of; null for a style.")
    credits_spent: int = strawberry.field(description="Its price, in credits; 0 once they were given back.")
    simulated: bool = strawberry.field(description="Whether the sandbox made up the result.")
    created_at: datetime = strawberry.field(description="When it was accepted.")
    started_at: datetime | None = strawberry.field(description="When the work began.")
    completed_at: datetime | None = strawberry.field(description="When it ended, well or not.")
    archive_sha256: str | None = strawberry.field(description="The SHA-256 of the packed photos, once they are packed.")

    @computed("How much is done, from 0 to 100; 100 only when COMPLETED.")
    def progress(self) -> float:
        return self.row.percent

    @computed("The model it makes.")
    async def model(self, info: Info) -> LoraModel:
        return LoraModel.of(await info.context.loaders.model.load(self.row.model_id))

    @computed("Who the photos show.")
    def gender(self) -> SubjectGender:
        return self.row.gender or SubjectGender.PERSON

    @computed("The base model that is trained.")
    def base_model(self) -> BaseModel:
        return BaseModel.of_trainer(trainer_for(self.row.base_model))

    @computed("The provider's id of the job, once it has taken it.")
    async def fal_request_id(self, info: Info) -> str | None:
        calls = await info.context.loaders.submissions.load(self.row.id)
        return next((call.request_id for call in reversed(calls) if call.request_id), None)

    @computed("Why it FAILED.")
    def error(self) -> JobError | None:
        return JobError.of_job(self.row)

    @computed("Facts for the curious: `requested`, `archiveSha256` and the provider's `trainer`.")
    def metadata(self) -> JSON | None:
        return JSON(metadata(self.row))

    @computed("The photos it learns from, in order, without deleted ones; none when it was started with a ZIP's URL.")
    async def photos(self, info: Info) -> list[Photo]:
        return [Photo.of(row) for row in await info.context.loaders.photos_of_training.load(self.row.id)]

    @computed("The SHA-256 of each photo it learned from, in order, also of those deleted since.")
    async def photo_hashes(self, info: Info) -> list[str]:
        return await info.context.loaders.photo_hashes_of_training.load(self.row.id)

    @computed("The newest step of its progress; `trainingProgress` follows it live.")
    async def latest_progress(self, info: Info) -> TrainingProgress | None:
        event = await info.context.loaders.latest_event.load(self.row.id)
        return TrainingProgress.of(event, known=self) if event else None


def metadata(row: TrainingRow) -> dict[str, object]:
    """What was asked for beyond the trainer's own parameters, and what became of it."""
    requested = {"loraRank": row.lora_rank, "learningRate": row.learning_rate, "batchSize": row.batch_size}
    trainer = trainer_for(row.base_model).endpoint
    return (row.metadata or {}) | {
        "requested": requested,
        "archiveSha256": row.archive_sha256,
        "trainer": trainer,
    }
