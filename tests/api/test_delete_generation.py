"""Mutation.deleteGeneration."""

import pytest

from models.generation import Generation
from models.user import User
from schema.types.node import global_id
from tests.api.schema_stage import Stage, unknown_ids

DELETE = """mutation($input: DeleteGenerationInput!) {
  deleteGeneration(input: $input) { deletedId userErrors { __typename code path } }
}"""
LIST = "{ generations { totalCount nodes { id } } }"


async def ended(stage: Stage, owner: User | None = None) -> Generation:
    row = await stage.generation(owner)
    await stage.generations.cancel(row.id)
    return row


async def test_deleted_is_gone(stage: Stage) -> None:
    """It is in no list and under no id any more; asked again, it answers the same."""
    row, other = await ended(stage), await ended(stage)
    id = global_id("Generation", row.id)
    for _ in range(2):
        assert {"deletedId": id, "userErrors": []} == (await stage.ask(DELETE, input={"id": id}))["deleteGeneration"]
    listed = (await stage.ask(LIST))["generations"]
    assert id not in [node["id"] for node in listed["nodes"]]
    assert global_id("Generation", other.id) in [node["id"] for node in listed["nodes"]]
    assert len(listed["nodes"]) == listed["totalCount"]
    assert {"node": None} == await stage.ask("query($id: ID!) { node(id: $id) { id } }", id=id)


@pytest.mark.parametrize("number", range(9))
async def test_unknown_ids(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all NOT_FOUND."""
    theirs = await ended(stage, stage.stranger)
    payload = await stage.ask(DELETE, input={"id": unknown_ids("Generation", theirs.id)[number]})
    error = {"__typename": "NotFoundError", "code": "NOT_FOUND", "path": ["input", "id"]}
    assert {"deletedId": None, "userErrors": [error]} == payload["deleteGeneration"]


async def test_what_is_needed_stays(stage: Stage) -> None:
    """CONFLICT while a job that has not ended needs it; nothing is deleted."""
    id = global_id("Generation", (await stage.generation()).id)
    error = {"__typename": "InvalidInputError", "code": "CONFLICT", "path": ["input", "id"]}
    payload = (await stage.ask(DELETE, input={"id": id}))["deleteGeneration"]
    assert {"deletedId": None, "userErrors": [error]} == payload
    assert id in [node["id"] for node in (await stage.ask(LIST))["generations"]["nodes"]]
