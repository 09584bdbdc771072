"""Mutation.deletePhoto."""

import pytest

from models.photo import Photo
from models.user import User
from schema.types.node import global_id
from tests.api.schema_stage import Stage, unknown_ids

DELETE = """mutation($input: DeletePhotoInput!) {
  deletePhoto(input: $input) { deletedId userErrors { __typename code path } }
}"""
LIST = "{ photos { totalCount nodes { id } } }"


async def ended(stage: Stage, owner: User | None = None) -> Photo:
    return await stage.photo(owner)


async def test_deleted_is_gone(stage: Stage) -> None:
    """It is in no list and under no id any more; asked again, it answers the same."""
    row, other = await ended(stage), await ended(stage)
    id = global_id("Photo", row.id)
    for _ in range(2):
        assert {"deletedId": id, "userErrors": []} == (await stage.ask(DELETE, input={"id": id}))["deletePhoto"]
    listed = (await stage.ask(LIST))["photos"]
    assert id not in [node["id"] for node in listed["nodes"]]
    assert global_id("Photo", other.id) in [node["id"] for node in listed["nodes"]]
    assert len(listed["nodes"]) == listed["totalCount"]
    assert {"node": None} == await stage.ask("query($id: ID!) { node(id: $id) { id } }", id=id)


@pytest.mark.parametrize("number", range(9))
async def test_unknown_ids(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all NOT_FOUND."""
    theirs = await ended(stage, stage.stranger)
    payload = await stage.ask(DELETE, input={"id": unknown_ids("Photo", theirs.id)[number]})
    error = {"__typename": "NotFoundError", "code": "NOT_FOUND", "path": ["input", "id"]}
    assert {"deletedId": None, "userErrors": [error]} == payload["deletePhoto"]


async def test_what_is_needed_stays(stage: Stage) -> None:
    """CONFLICT while a job that has not ended needs it; nothing is deleted."""
    await stage.training()
    id = (await stage.ask(LIST))["photos"]["nodes"][0]["id"]
    error = {"__typename": "InvalidInputError", "code": "CONFLICT", "path": ["input", "id"]}
    payload = (await stage.ask(DELETE, input={"id": id}))["deletePhoto"]
    assert {"deletedId": None, "userErrors": [error]} == payload
    assert id in [node["id"] for node in (await stage.ask(LIST))["photos"]["nodes"]]
