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


REPLAY = """mutation($input: GenerateImageInput!) {
  generateImage(input: $input) { generations { id } userErrors { code message path } }
}"""
PROGRESS = "subscription($id: String!) { batchProgress(runId: $id) { status generation { id } } }"
REQUEST = {"prompt": "a cat", "numImages": 2, "runId": "run-1"}


async def run_of_two(stage: Stage) -> list[str]:
    """The ids of a run's images, which have ended."""
    generations = (await stage.ask(REPLAY, input=REQUEST))["generateImage"]["generations"]
    for row in await Generation.all():
        await stage.generations.progress(row.id, message="Keeping the image")
        await stage.generations.complete(row.id, location=f"image/{row.id}.png")
    return [generation["id"] for generation in generations]


async def test_of_a_run_what_is_left_is_shown(stage: Stage) -> None:
    """Its stream and its repeat leave the deleted one out."""
    deleted, left = await run_of_two(stage)
    await stage.ask(DELETE, input={"id": deleted})
    async with stage.following(PROGRESS, id="run-1") as results:
        shown = [(result.errors, result.data["batchProgress"]) async for result in results]
    assert [(None, {"status": "COMPLETED", "generation": {"id": left}})] == shown
    again = (await stage.ask(REPLAY, input=REQUEST))["generateImage"]
    assert {"generations": [{"id": left}], "userErrors": []} == again
    assert 4 == (await stage.credits.quota(stage.me.id)).daily_used


async def test_of_a_run_nothing_is_left(stage: Stage) -> None:
    """Its stream is NOT_FOUND, and its run id a CONFLICT for the same input and for any other: nothing is charged."""
    for id in await run_of_two(stage):
        await stage.ask(DELETE, input={"id": id})
    expected = ("There is no run with this id.", "BAD_USER_INPUT", ["runId"])
    assert expected == await stage.refused_stream(PROGRESS, id="run-1")
    for seed, message in [
        (None, "The images of this runId were deleted."),
        (1, "This runId was used with another input."),
    ]:
        error = {"code": "CONFLICT", "message": message, "path": ["input", "runId"]}
        payload = (await stage.ask(REPLAY, input=REQUEST | {"seed": seed}))["generateImage"]
        assert {"generations": [], "userErrors": [error]} == payload
    assert 4 == (await stage.credits.quota(stage.me.id)).daily_used


@pytest.mark.parametrize(
    "document",
    [
        "subscription($id: ID!) { progress: generationProgress(generationId: $id) { generation { id imageUrl } } }",
        'subscription { progress: batchProgress(runId: "run-1") { generation { id imageUrl } } }',
    ],
    ids=["generation", "batch"],
)
async def test_deleted_while_it_is_followed(stage: Stage, document: str) -> None:
    """The stream ends as it would have; the picture is no longer shown."""
    row = await stage.generation(runId="run-1")
    await stage.generations.progress(row.id, message="Keeping the image")
    id = global_id("Generation", row.id)
    async with stage.following(document, id=id) as results:
        await anext(results)
        await stage.generations.complete(row.id, location="image/a.png")
        await stage.ask(DELETE, input={"id": id})
        rest = [(result.errors, result.data["progress"]) async for result in results]
    assert [(None, {"generation": {"id": id, "imageUrl": None}})] == rest
