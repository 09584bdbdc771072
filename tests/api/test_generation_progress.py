"""Subscription.generationProgress."""

import pytest

from schema.types.node import global_id
from tests.api.schema_stage import Stage, unknown_ids

DOCUMENT = """subscription($id: ID!, $afterSeq: Int) { generationProgress(generationId: $id, afterSeq: $afterSeq) {
  seq status queuePosition message at generation { id status imageUrl }
} }"""


async def test_live_to_the_end(stage: Stage) -> None:
    """The newest event, then live ones; the generation is as it is now; the stream completes."""
    row = await stage.generation()
    id, at = global_id("Generation", row.id), "2026-01-31T12:00:00.000Z"
    async with stage.following(DOCUMENT, id=id) as results:
        events = [(await anext(results)).data["generationProgress"]]
        await stage.generations.progress(row.id, message="Waiting", queue_position=3)
        events.append((await anext(results)).data["generationProgress"])
        await stage.generations.complete(row.id, location="image/a.png")
        events += [result.data["generationProgress"] async for result in results]
    url = "https://assets.example/image/a.png"
    expected = [
        {
            "seq": 1, "status": "PENDING", "queuePosition": None, "message": "Generation accepted", "at": at,
            "generation": {"id": id, "status": "PENDING", "imageUrl": None},
        },
        {
            "seq": 2, "status": "PROCESSING", "queuePosition": 3, "message": "Waiting", "at": at,
            "generation": {"id": id, "status": "PROCESSING", "imageUrl": None},
        },
        {
            "seq": 3, "status": "COMPLETED", "queuePosition": None, "message": "Image ready", "at": at,
            "generation": {"id": id, "status": "COMPLETED", "imageUrl": url},
        },
    ]  # fmt: skip
    assert expected == events
    assert {} == stage.bus.listeners


@pytest.mark.parametrize("number", range(9))
async def test_unknown_ids(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all refused alike."""
    theirs = await stage.generation(stage.stranger)
    expected = ("There is no generation with this id.", "BAD_USER_INPUT", ["generationId"])
    assert expected == await stage.refused_stream(DOCUMENT, id=unknown_ids("Generation", theirs.id)[number])


async def test_bounds_of_after_seq(stage: Stage) -> None:
    """A number that is not among the events is refused."""
    row = await stage.generation()
    expected = ("afterSeq must be from 0 to 1.", "BAD_USER_INPUT", ["afterSeq"])
    assert expected == await stage.refused_stream(DOCUMENT, id=global_id("Generation", row.id), afterSeq=2)
