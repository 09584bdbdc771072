"""Mutation.cancelTraining."""

from typing import Any

from models.status import TrainingStage
from models.training import Training
from schema.types.node import global_id
from tests.api.schema_stage import Stage

DOCUMENT = """mutation($input: CancelTrainingInput!) {
  cancelTraining(input: $input) {
    training { id status creditsSpent error { code } model { status } latestProgress { seq status missed } }
    userErrors { __typename code message path }
  }
}"""
PROGRESS = "subscription($id: ID!) { trainingProgress(trainingId: $id, afterSeq: 0) { seq status percent missed } }"
QUOTA = "{ quota { dailyUsed remaining } }"


async def cancel(stage: Stage, id: Any) -> dict[str, Any]:
    """The payload."""
    shown = await stage.ask(DOCUMENT, input={"id": global_id("Training", id)})
    return shown["cancelTraining"]


async def test_it_ends_and_refunds(stage: Stage) -> None:
    """The answer shows the end, the credits are back, and the provider will be told; twice is like once."""
    row = await stage.training()
    expected = {
        "training": {
            "id": global_id("Training", row.id), "status": "CANCELLED", "creditsSpent": 0, "error": None,
            "model": {"status": "CANCELLED"}, "latestProgress": {"seq": 2, "status": "CANCELLED", "missed": 0},
        },
        "userErrors": [],
    }  # fmt: skip
    assert [expected] * 2 == [await cancel(stage, row.id) for _ in range(2)]
    assert {"quota": {"dailyUsed": 0, "remaining": 60}} == await stage.ask(QUOTA)
    assert [("training", row.id), ("cancel", row.id)] == stage.jobs.enqueued


async def test_the_stream_ends(stage: Stage) -> None:
    """A watcher sees CANCELLED as the last event, below 100 percent, and the stream completes."""
    row = await stage.training()
    async with stage.following(PROGRESS, id=global_id("Training", row.id)) as results:
        await anext(results)
        await stage.trainings.progress(row.id, stage=TrainingStage.PACKAGING, message="Packaging")
        await cancel(stage, row.id)
        rest = [result.data["trainingProgress"] async for result in results]
    steps = [(2, "TRAINING", 35.0), (3, "CANCELLED", 35.0)]
    expected = [{"seq": seq, "status": status, "percent": percent, "missed": 0} for seq, status, percent in steps]
    assert expected == rest


async def test_too_late(stage: Stage) -> None:
    """What has ended, or is being finished, is ALREADY_FINISHED."""
    done = await Training.get(model_id=(await stage.ready_model()).id)
    finishing = await stage.training()
    await stage.trainings.progress(finishing.id, stage=TrainingStage.FINALIZING, message="Finalizing")
    for row, why in ((done, "COMPLETED"), (finishing, "being finished")):
        error = {
            "__typename": "InvalidInputError", "code": "ALREADY_FINISHED", "path": ["input", "id"],
            "message": f"This training has already ended ({why}).",
        }  # fmt: skip
        assert {"training": None, "userErrors": [error]} == await cancel(stage, row.id)
