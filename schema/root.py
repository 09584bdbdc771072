"""The contents page of the API: every query, mutation and subscription, and the schema they make."""

from collections.abc import AsyncGenerator, Sequence

import strawberry
from graphql import GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema, Undefined
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig

import resolvers.base_models
import resolvers.batches
import resolvers.generation
import resolvers.health
import resolvers.ledger
import resolvers.loras
import resolvers.node
import resolvers.photos
import resolvers.presets
import resolvers.removal
import resolvers.training
import resolvers.viewer
from schema.types.base_model import BaseModel
from schema.types.credits import CostEstimate, Quota
from schema.types.generation import Generation, GenerationProgress
from schema.types.generation_input import CancelGenerationPayload, GenerateImagePayload
from schema.types.health import Health
from schema.types.ledger import LedgerAudit, LedgerConnection
from schema.types.node import Node
from schema.types.pack_input import GeneratePackPayload
from schema.types.paging import Connection
from schema.types.photo import Photo, UploadPhotosPayload, UploadTrainingArchivePayload
from schema.types.preset import Pack, Preset
from schema.types.problem import ERROR_TYPES
from schema.types.removal import (
    DeleteGenerationPayload,
    DeleteModelPayload,
    DeletePhotoPayload,
    RenameModelPayload,
    ShareModelPayload,
)
from schema.types.scalars import SCALARS
from schema.types.training import LoraModel, Training, TrainingProgress
from schema.types.training_input import CancelTrainingPayload, RetryTrainingPayload, StartTrainingPayload
from schema.types.viewer import Viewer


@strawberry.type(description="What can be asked. Lists and objects are the viewer's own.")
class Query:
    node: Node | None = strawberry.field(
        resolver=resolvers.node.get, description="Any object by its id; null when unknown."
    )
    viewer: Viewer = strawberry.field(resolver=resolvers.viewer.get, description="The person who is signed in.")
    health: Health = strawberry.field(resolver=resolvers.health.report, description="What works now.")
    quota: Quota = strawberry.field(resolver=resolvers.viewer.quota, description="What the viewer may spend.")
    ledger: LedgerConnection = strawberry.field(
        resolver=resolvers.ledger.browse, description="Every movement of the viewer's credits, newest first."
    )
    audit_ledger: LedgerAudit = strawberry.field(
        resolver=resolvers.ledger.prove,
        description="Work the viewer's whole ledger out anew and say whether it is what it should be.",
    )
    photos: Connection[Photo] = strawberry.field(
        resolver=resolvers.photos.browse, description="The photos, newest first."
    )
    trainings: Connection[Training] = strawberry.field(
        resolver=resolvers.training.browse, description="The trainings, newest first."
    )
    training: Training | None = strawberry.field(
        resolver=resolvers.training.get, description="One training; null when unknown."
    )
    models: Connection[LoraModel] = strawberry.field(
        resolver=resolvers.loras.browse, description="The trained models, newest first, those in training too."
    )
    model: LoraModel | None = strawberry.field(
        resolver=resolvers.loras.get, description="One trained model, also one that was shared; null when unknown."
    )
    generations: Connection[Generation] = strawberry.field(
        resolver=resolvers.generation.browse, description="The generated pictures, newest first."
    )
    generation: Generation | None = strawberry.field(
        resolver=resolvers.generation.get, description="One generated picture; null when unknown."
    )
    presets: list[Preset] = strawberry.field(
        resolver=resolvers.presets.browse, description="The ready-made kinds of picture."
    )
    packs: list[Pack] = strawberry.field(
        resolver=resolvers.presets.packs, description="The sets of presets that can be run together."
    )
    base_models: list[BaseModel] = strawberry.field(
        resolver=resolvers.base_models.browse, description="What can be trained on, the default first."
    )
    estimate_training: CostEstimate = strawberry.field(
        resolver=resolvers.training.estimate, description="What `startTraining` with this input would cost."
    )
    estimate_generation: CostEstimate = strawberry.field(
        resolver=resolvers.generation.estimate, description="What `generateImage` with this input would cost."
    )


@strawberry.type(description="What can be done. Expected failures are in `userErrors` of each payload.")
class Mutation:
    upload_photos: UploadPhotosPayload | None = strawberry.mutation(
        resolver=resolvers.photos.upload,
        description="Keep photos to train on; good ones are kept when others are refused.",
    )
    upload_training_archive: UploadTrainingArchivePayload | None = strawberry.mutation(
        resolver=resolvers.photos.upload_archive, description="Keep the photos of a ZIP."
    )
    start_training: StartTrainingPayload | None = strawberry.mutation(
        resolver=resolvers.training.start, description="Train a personal model; answers at once, the work follows."
    )
    cancel_training: CancelTrainingPayload | None = strawberry.mutation(
        resolver=resolvers.training.cancel,
        description="End a training now: its status is CANCELLED at once, its stream ends with that event, and the "
        "provider is told to stop. All its credits come back, in whatever stage it is, to where they came from: the "
        "day's allowance, or the balance when that day is over. Once its result is being kept (FINALIZING) it is too "
        "late: ALREADY_FINISHED, and it completes. Asked again for a CANCELLED one, it answers the same and refunds "
        "nothing more.",
    )
    retry_training: RetryTrainingPayload | None = strawberry.mutation(
        resolver=resolvers.training.retry,
        description="Try a FAILED or CANCELLED training again, with the same photos and settings, at the price of a "
        "new one: the earlier attempt's credits came back when it ended. The packed photos are not uploaded again "
        "while the earlier upload lives. It is a new training of a new model. Asked again for the same training, the "
        "attempt made before is given, unless that has failed or was cancelled too. CONFLICT for one that has not "
        "failed.",
    )
    generate_image: GenerateImagePayload | None = strawberry.mutation(
        resolver=resolvers.generation.start, description="Draw 1 to 4 images; answers at once, the work follows."
    )
    generate_pack: GeneratePackPayload | None = strawberry.mutation(
        resolver=resolvers.batches.start_pack,
        description="Draw one image for each preset of a pack; all are accepted and paid for, or none. Answers at "
        "once, the work follows; each image ends for itself, and one that fails is given back.",
    )
    cancel_generation: CancelGenerationPayload | None = strawberry.mutation(
        resolver=resolvers.generation.cancel,
        description="End a generation now: its status is CANCELLED at once, its stream ends with that event, and the "
        "provider is told to stop. All its credits come back, to where they came from: the day's allowance, or the "
        "balance when that day is over. Once the provider has delivered its image it is too late: ALREADY_FINISHED, "
        "and it completes. Asked again for a CANCELLED one, it answers the same and refunds nothing more.",
    )

    rename_model: RenameModelPayload | None = strawberry.mutation(
        resolver=resolvers.loras.rename, description="Give a trained model another name; its trigger word stays."
    )
    share_model: ShareModelPayload | None = strawberry.mutation(
        resolver=resolvers.loras.share,
        description="Let others draw with a trained model by its id, or no longer; pictures that were begun stay.",
    )
    delete_photo: DeletePhotoPayload | None = strawberry.mutation(
        resolver=resolvers.removal.photo,
        description="Delete a photo for good, its file too. Models trained on it stay, and remember its hash. CONFLICT "
        "while a job that has not ended uses it. Asked again, it answers the same.",
    )
    delete_model: DeleteModelPayload | None = strawberry.mutation(
        resolver=resolvers.removal.model,
        description="Delete a trained model for good, its weights too. Its pictures, its training and the ledger stay. "
        "CONFLICT while its training or a generation with it has not ended. Asked again, it answers the same.",
    )
    delete_generation: DeleteGenerationPayload | None = strawberry.mutation(
        resolver=resolvers.removal.generation,
        description="Delete a generated picture for good, its file too. The ledger stays. CONFLICT while it has not "
        "ended. Asked again, it answers the same.",
    )


@strawberry.type(description="What can be followed live, without a gap and without a double.")
class Subscription:
    training_progress: AsyncGenerator[TrainingProgress, None] = strawberry.subscription(
        resolver=resolvers.training.progress,
        description="A training's progress: the newest event first, or every one after `afterSeq`, then live ones; "
        "completes after the last.",
    )
    generation_progress: AsyncGenerator[GenerationProgress, None] = strawberry.subscription(
        resolver=resolvers.generation.progress,
        description="A generation's progress: the newest event first, or every one after `afterSeq`, then live ones; "
        "completes after the last.",
    )
    batch_progress: AsyncGenerator[GenerationProgress, None] = strawberry.subscription(
        resolver=resolvers.batches.progress,
        description="The progress of every generation of a run (of `generateImage` or `generatePack`) in one stream: "
        "the newest event of each first, then live ones; completes when all have ended. Deleted ones are left out.",
    )


def build_schema(extensions: Sequence[type[SchemaExtension]] = ()) -> strawberry.Schema:
    """The schema that the server executes."""
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=ERROR_TYPES,
        extensions=extensions,
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    _drop_null_defaults(schema._schema)
    return schema


def sdl() -> str:
    """The schema in the schema definition language, as schema/schema.graphql holds it."""
    return build_schema().as_str().rstrip() + "\n"


def _drop_null_defaults(schema: GraphQLSchema) -> None:
    """Leave out `= null`, which says nothing: null and absent mean the same everywhere."""
    for named in schema.type_map.values():
        if isinstance(named, GraphQLInputObjectType):
            inputs = list(named.fields.values())
        elif isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
            inputs = [argument for field in named.fields.values() for argument in field.args.values()]
        else:
            continue
        for value in inputs:
            if value.default_value is None:
                value.default_value = Undefined
