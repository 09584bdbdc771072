"""TrainingProgress.missed and GenerationProgress.missed."""

import pytest

from models.status import TrainingStage
from schema.types.node import global_id
from services.gateways.bus_memory import MemoryBus
from tests.api.schema_stage import Stage

TRAINING = "subscription($id: ID!) { trainingProgress(trainingId: $id) { seq status missed } }"
GENERATION = "subscription($id: ID!) { generationProgress(generationId: $id) { seq status missed } }"


@pytest.mark.parametrize(("steps", "told"), [(99, [0] * 101), (101, [0, 100, 0]), (150, [0, 149, 0])])
async def test_a_slow_watcher_of_a_training(stage: Stage, steps: int, told: list[int]) -> None:
    """More than 100 events behind, the newest comes with the number of those left out; the end comes always."""
    stage.bus = MemoryBus()  # type: ignore[assignment]
    row = await stage.training()
    async with stage.following(TRAINING, id=global_id("Training", row.id)) as results:
        seen = [(await anext(results)).data["trainingProgress"]]
        for number in range(steps):
            await stage.trainings.progress(row.id, stage=TrainingStage.PACKAGING, message=f"{number}")
        if steps > 100:
            seen.append((await anext(results)).data["trainingProgress"])
        await stage.services.training_changes.cancel(stage.me.id, row.id)
        seen += [result.data["trainingProgress"] async for result in results]
    assert "CANCELLED" == seen[-1]["status"]
    assert 2 + steps == seen[-1]["seq"]
    assert told == [event["missed"] for event in seen]


async def test_a_slow_watcher_of_a_generation(stage: Stage) -> None:
    """The same, up to an end that is itself the newest."""
    stage.bus = MemoryBus()  # type: ignore[assignment]
    row = await stage.generation()
    async with stage.following(GENERATION, id=global_id("Generation", row.id)) as results:
        first = (await anext(results)).data["generationProgress"]
        for number in range(120):
            await stage.generations.progress(row.id, message=f"{number}")
        await stage.services.generation_changes.cancel(stage.me.id, row.id)
        [rest] = [result.data["generationProgress"] async for result in results]
    expected = [{"seq": 1, "status": "PENDING", "missed": 0}, {"seq": 122, "status": "CANCELLED", "missed": 120}]
    assert expected == [first, rest]
