"""Subscription.trainingProgress."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from models.status import TrainingStage
from schema.types.node import global_id
from tests.api.schema_stage import Stage, unknown_ids

DOCUMENT = """subscription($id: ID!, $afterSeq: Int) { trainingProgress(trainingId: $id, afterSeq: $afterSeq) {
  seq status percent message training { id status progress model { status } latestProgress { seq } }
} }"""


def shown(result: Any) -> tuple[Any, ...]:
    """An event and what it says of its training."""
    assert result.errors is None
    event = result.data["trainingProgress"]
    training = event["training"]
    now = (training["status"], training["progress"], training["model"]["status"], training["latestProgress"]["seq"])
    return (event["seq"], event["status"], event["percent"], *now)


async def pack(stage: Stage, id: UUID) -> None:
    """One step further."""
    await stage.trainings.progress(id, stage=TrainingStage.PACKAGING, message="Packaging", fraction=0.5)


async def test_live_to_the_end(stage: Stage) -> None:
    """The newest event, then live ones; training and model are as they are now; the stream completes."""
    row = await stage.training()
    async with stage.following(DOCUMENT, id=global_id("Training", row.id)) as results:
        first = shown(await anext(results))
        await pack(stage, row.id)
        second = shown(await anext(results))
        await stage.trainings.complete(row.id, model={})
        rest = [shown(result) async for result in results]
    assert (1, "PENDING", 0.0, "PENDING", 0.0, "PENDING", 1) == first
    assert (2, "TRAINING", 40.0, "TRAINING", 40.0, "TRAINING", 2) == second
    assert [(3, "COMPLETED", 100.0, "COMPLETED", 100.0, "COMPLETED", 3)] == rest
    assert {} == stage.bus.listeners


@pytest.mark.parametrize(("after", "expected"), [(None, [3]), (0, [1, 2, 3]), (1, [2, 3]), (3, [])])
async def test_after_the_end(stage: Stage, after: int | None, expected: list[int]) -> None:
    """What is stored is sent from where the client stood; then the stream completes."""
    row = await stage.training()
    await pack(stage, row.id)
    await stage.trainings.complete(row.id, model={})
    async with stage.following(DOCUMENT, id=global_id("Training", row.id), afterSeq=after) as results:
        assert expected == [shown(result)[0] async for result in results]


async def test_a_client_that_goes_away(stage: Stage) -> None:
    """Soon nobody listens any more."""
    row = await stage.training()
    async with stage.following(DOCUMENT, id=global_id("Training", row.id)) as results:
        await anext(results)
        assert [f"job:{row.id}"] == list(stage.bus.listeners)
    async with asyncio.timeout(5):
        while stage.bus.listeners:
            await asyncio.sleep(0)


async def test_a_client_that_goes_away_while_waiting(stage: Stage) -> None:
    """A stream that waits for the next event is ended by a cancel."""
    row = await stage.training()
    async with stage.following(DOCUMENT, id=global_id("Training", row.id), afterSeq=1) as results:
        waiting = asyncio.ensure_future(anext(results))
        while not stage.bus.listeners:
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert {} == stage.bus.listeners


@pytest.mark.parametrize("number", range(9))
async def test_unknown_ids(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all refused alike, before the stream begins."""
    theirs = await stage.training(stage.stranger)
    expected = ("There is no training with this id.", "BAD_USER_INPUT", ["trainingId"])
    assert expected == await stage.refused_stream(DOCUMENT, id=unknown_ids("Training", theirs.id)[number])


@pytest.mark.parametrize("after", [-1, 2])
async def test_bounds_of_after_seq(stage: Stage, after: int) -> None:
    """A number that is not among the events is refused, and nobody is left listening."""
    row = await stage.training()
    expected = ("afterSeq must be from 0 to 1.", "BAD_USER_INPUT", ["afterSeq"])
    assert expected == await stage.refused_stream(DOCUMENT, id=global_id("Training", row.id), afterSeq=after)
    assert {} == stage.bus.listeners
