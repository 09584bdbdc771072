"""Mutation.cancelGeneration."""

from typing import Any
from uuid import UUID

from schema.types.node import global_id
from tests.api.schema_stage import Stage

DOCUMENT = """mutation($input: CancelGenerationInput!) {
  cancelGeneration(input: $input) {
    generation { id status creditsSpent imageUrl error { code } } userErrors { __typename code message path }
  }
}"""
PROGRESS = "subscription($id: ID!) { generationProgress(generationId: $id, afterSeq: 0) { seq status missed } }"


async def cancel(stage: Stage, id: UUID) -> dict[str, Any]:
    """The payload."""
    return (await stage.ask(DOCUMENT, input={"id": global_id("Generation", id)}))["cancelGeneration"]


async def test_it_ends_and_refunds(stage: Stage) -> None:
    """The answer shows the end, the credits are back, and the provider will be told; twice is like once."""
    row = await stage.generation()
    shown = {"status": "CANCELLED", "creditsSpent": 0, "imageUrl": None, "error": None}
    expected = {"generation": {"id": global_id("Generation", row.id)} | shown, "userErrors": []}
    assert [expected] * 2 == [await cancel(stage, row.id) for _ in range(2)]
    assert 0 == (await stage.credits.quota(stage.me.id)).daily_used
    assert [("generation", row.id), ("cancel", row.id)] == stage.jobs.enqueued


async def test_the_stream_ends(stage: Stage) -> None:
    """A watcher sees CANCELLED as the last event, and the stream completes."""
    row = await stage.generation()
    async with stage.following(PROGRESS, id=global_id("Generation", row.id)) as results:
        await anext(results)
        await cancel(stage, row.id)
        rest = [result.data["generationProgress"] async for result in results]
    assert [{"seq": 2, "status": "CANCELLED", "missed": 0}] == rest


async def test_too_late(stage: Stage) -> None:
    """What has ended, or whose picture is there, is ALREADY_FINISHED."""
    row = await stage.generation()
    await stage.generations.progress(row.id, message="Keeping", original_fal_url="https://x.example/a.png")
    kept = await cancel(stage, row.id)
    await stage.generations.complete(row.id, location="image/a.png")
    done = await cancel(stage, row.id)
    for payload, why in ((kept, "being kept"), (done, "COMPLETED")):
        error = {
            "__typename": "InvalidInputError", "code": "ALREADY_FINISHED", "path": ["input", "id"],
            "message": f"This generation has already ended ({why}).",
        }  # fmt: skip
        assert {"generation": None, "userErrors": [error]} == payload
