"""Mutation.deleteModel."""

import pytest

from models.lora import LoraModel
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
