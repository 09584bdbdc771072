"""Mutation.deleteModel."""

from typing import Any

import pytest

from models.lora import LoraModel
from models.training import Training
from models.user import User
from schema.types.node import global_id
from tests.api.schema_stage import Stage, unknown_ids

DELETE = """mutation($input: DeleteModelInput!) {
  deleteModel(input: $input) { deletedId userErrors { __typename code path } }
}"""
LIST = "{ models { totalCount nodes { id } } }"


async def ended(stage: Stage, owner: User | None = None) -> LoraModel:
    return await stage.ready_model(owner)


async def test_deleted_is_gone(stage: Stage) -> None:
    """It is in no list and under no id any more; asked again, it answers the same."""
    row, other = await ended(stage), await ended(stage)
    id = global_id("LoraModel", row.id)
    for _ in range(2):
        assert {"deletedId": id, "userErrors": []} == (await stage.ask(DELETE, input={"id": id}))["deleteModel"]
    listed = (await stage.ask(LIST))["models"]
    assert id not in [node["id"] for node in listed["nodes"]]
    assert global_id("LoraModel", other.id) in [node["id"] for node in listed["nodes"]]
    assert len(listed["nodes"]) == listed["totalCount"]
    assert {"node": None} == await stage.ask("query($id: ID!) { node(id: $id) { id } }", id=id)


@pytest.mark.parametrize("number", range(9))
async def test_unknown_ids(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all NOT_FOUND."""
    theirs = await ended(stage, stage.stranger)
    payload = await stage.ask(DELETE, input={"id": unknown_ids("LoraModel", theirs.id)[number]})
    error = {"__typename": "NotFoundError", "code": "NOT_FOUND", "path": ["input", "id"]}
    assert {"deletedId": None, "userErrors": [error]} == payload["deleteModel"]


async def test_what_is_needed_stays(stage: Stage) -> None:
    """CONFLICT while a job that has not ended needs it; nothing is deleted."""
    id = global_id("LoraModel", (await stage.training()).model_id)
    error = {"__typename": "InvalidInputError", "code": "CONFLICT", "path": ["input", "id"]}
    payload = (await stage.ask(DELETE, input={"id": id}))["deleteModel"]
    assert {"deletedId": None, "userErrors": [error]} == payload
    assert id in [node["id"] for node in (await stage.ask(LIST))["models"]["nodes"]]


SHOWN = "{ id status model { id deletedAt modelUrl } }"
TRAINING = f"training {SHOWN}"
BY_ID = f"query($id: ID!) {{ training(id: $id) {SHOWN} }}"
PROGRESS = f"subscription($id: ID!) {{ trainingProgress(trainingId: $id) {{ status {TRAINING} }} }}"
RETRY = (
    f"mutation($input: RetryTrainingInput!) {{ retryTraining(input: $input) {{ {TRAINING} userErrors {{ code }} }} }}"
)
START = (
    f"mutation($input: StartTrainingInput!) {{ startTraining(input: $input) {{ {TRAINING} userErrors {{ code }} }} }}"
)


async def deleted(stage: Stage, row: Training) -> dict[str, Any]:
    """Delete a training's model; the training as it must be shown from now on."""
    id = global_id("LoraModel", row.model_id)
    assert [] == (await stage.ask(DELETE, input={"id": id}))["deleteModel"]["userErrors"]
    model = {"id": id, "deletedAt": "2026-01-31T12:00:00.000Z", "modelUrl": None}
    status = (await Training.get(id=row.id)).status.value
    return {"id": global_id("Training", row.id), "status": status, "model": model}


async def test_the_training_of_a_deleted_model_stays(stage: Stage) -> None:
    """By its id, in its stream and as the answer to the same request it shows the deleted model."""
    input = {"modelName": "Me", "photoIds": await stage.photo_ids(), "idempotencyKey": "k"}
    row = await stage.training(**input)
    await stage.trainings.progress(row.id, stage="TRAINING", message="Training")
    await stage.trainings.complete(row.id, model={"weights_location": "weights/a.safetensors"})
    shown = await deleted(stage, row)
    assert {"training": shown} == await stage.ask(BY_ID, id=shown["id"])
    async with stage.following(PROGRESS, id=shown["id"]) as results:
        events = [(result.errors, result.data["trainingProgress"]) async for result in results]
    assert [(None, {"status": "COMPLETED", "training": shown})] == events
    assert {"training": shown, "userErrors": []} == (await stage.ask(START, input=input))["startTraining"]
    assert 20 == (await stage.credits.quota(stage.me.id)).daily_used


async def test_the_training_of_a_deleted_model_is_tried_again(stage: Stage) -> None:
    """A cancelled one makes a new model; asked again, also after that was deleted, the answer is the same training."""
    row = await stage.training()
    await stage.trainings.cancel(row.id)
    shown = await deleted(stage, row)
    again = (await stage.ask(RETRY, input={"id": shown["id"]}))["retryTraining"]
    assert ([], None, "PENDING") == (
        again["userErrors"], again["training"]["model"]["deletedAt"], again["training"]["status"]
    )  # fmt: skip
    newest = await Training.get(retry_of=row.id)
    await stage.trainings.progress(newest.id, stage="TRAINING", message="Training")
    await stage.trainings.complete(newest.id, model={})
    expected = {"training": await deleted(stage, newest), "userErrors": []}
    assert expected == (await stage.ask(RETRY, input={"id": shown["id"]}))["retryTraining"]
