"""Trainings: start, cancel, retry, follow, list."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from resolvers.problems import bad_input, begun, user_errors
from schema.context import Info
from schema.types.arguments import AfterSeq, GlobalId, Wanted
from schema.types.credits import CostEstimate
from schema.types.node import read_id
from schema.types.paging import After, Connection, First
from schema.types.status import TrainingStatus
from schema.types.training import Training, TrainingProgress
from schema.types.training_input import (
    CancelTrainingInput,
    CancelTrainingPayload,
    RetryTrainingInput,
    RetryTrainingPayload,
    StartTrainingInput,
    StartTrainingPayload,
)

OfModel = Annotated[strawberry.ID | None, strawberry.argument(description="Only that of this model.")]
InStatus = Annotated[TrainingStatus | None, strawberry.argument(description="Only those that stand here.")]


@user_errors(StartTrainingPayload)
async def start(info: Info, input: Wanted[StartTrainingInput]) -> StartTrainingPayload:
    """Accept a training."""
    context = info.context
    row = await context.services.training.start(context.viewer.id, input.wanted())
    return StartTrainingPayload(training=Training.of(row))


@user_errors(CancelTrainingPayload)
async def cancel(info: Info, input: Wanted[CancelTrainingInput]) -> CancelTrainingPayload:
    """End a training."""
    context = info.context
    row = await context.services.training_changes.cancel(context.viewer.id, read_id(input.id, "Training"))
    return CancelTrainingPayload(training=Training.of(row))


@user_errors(RetryTrainingPayload)
async def retry(info: Info, input: Wanted[RetryTrainingInput]) -> RetryTrainingPayload:
    """Try a training again."""
    context = info.context
    row = await context.services.training_changes.retry(context.viewer.id, read_id(input.id, "Training"))
    return RetryTrainingPayload(training=Training.of(row))


@bad_input
async def browse(
    info: Info, first: First = None, after: After = None, status: InStatus = None, model_id: OfModel = None
) -> Connection[Training]:
    """The viewer's trainings."""
    context = info.context
    model = None if model_id is None else read_id(model_id, "LoraModel")
    page = await context.services.training.browse(
        context.viewer.id, first=first, after=after, status=status, model=model
    )
    return Connection[Training].of(page, Training.of)


async def get(info: Info, id: GlobalId) -> Training | None:
    """One of the viewer's trainings."""
    context = info.context
    return Training.of_maybe(await context.services.training.get(context.viewer.id, read_id(id, "Training")))


@bad_input
async def estimate(info: Info, input: Wanted[StartTrainingInput]) -> CostEstimate:
    """What a training would cost."""
    return CostEstimate.of(info.context.services.training.estimate(input.wanted()))


@bad_input
async def progress(
    info: Info, training_id: GlobalId, after_seq: AfterSeq = None
) -> AsyncGenerator[TrainingProgress, None]:
    """A training's events."""
    context, id = info.context, read_id(training_id, "Training")
    events = context.services.training.follow(context.viewer.id, id, after_seq=after_seq)
    return await begun(events, TrainingProgress.of)
