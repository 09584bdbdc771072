"""Query.generations."""

import logging

import pytest

from schema.types.node import global_id
from tests.api.schema_stage import Stage, unknown_ids

DOCUMENT = """query($type: GenerationType, $modelId: ID) {
  generations(type: $type, modelId: $modelId) { totalCount nodes { id } }
}"""
PROVENANCE = """{ generations(first: 50) { totalCount nodes { id url(width: 64) thumbnailUrl attempts { model }
  provenance { calls { requestId } loras { model { training { falRequestId photoHashes photos { id } } } } } } } }"""
NESTED = "{ generations { nodes { id imageUrl falJobId attempts { model } loraModels { id training { id } } } } }"


async def test_by_type_and_model(stage: Stage) -> None:
    """Only those of a kind, only those drawn with a model."""
    model = global_id("LoraModel", (await stage.ready_model()).id)
    with_model = {"id": global_id("Generation", (await stage.generation(modelId=model)).id)}
    without = {"id": global_id("Generation", (await stage.generation()).id)}
    for variables, expected in [
        ({"type": "LORA"}, [with_model]),
        ({"type": "CUSTOM_PROMPT"}, [without]),
        ({"modelId": model}, [with_model]),
        ({"type": "CUSTOM_PROMPT", "modelId": model}, []),
        ({"type": None, "modelId": None}, [without, with_model]),
    ]:
        shown = await stage.ask(DOCUMENT, **variables)
        assert {"generations": {"totalCount": len(expected), "nodes": expected}} == shown


@pytest.mark.parametrize("number", range(9))
async def test_unknown_models(stage: Stage, number: int) -> None:
    """With a model that is not the viewer's, nothing was drawn."""
    theirs = await stage.ready_model(stage.stranger)
    await stage.generation()
    shown = await stage.ask(DOCUMENT, modelId=unknown_ids("LoraModel", theirs.id)[number])
    assert {"generations": {"totalCount": 0, "nodes": []}} == shown


async def test_queries_do_not_grow_with_the_page(stage_on_each: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A page of one and a page of three cost the same number of SQL queries."""
    stage, counts = stage_on_each, []
    model = global_id("LoraModel", (await stage.ready_model()).id)
    for generations in (1, 2):
        for _ in range(generations):
            await stage.generation(modelId=model)
        with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
            caplog.clear()
            await stage.ask(NESTED)
            counts.append(sum("SELECT" in record.getMessage() for record in caplog.records))
    # page, submissions (once for two fields), models, trainings of models
    assert [4, 4] == counts


async def test_by_status(stage: Stage) -> None:
    """Only those that stand where asked; null asks for all."""
    done, waiting = await stage.generation(), await stage.generation()
    await stage.generations.cancel(done.id)
    document = "query($status: GenerationStatus) { generations(status: $status) { totalCount nodes { id } } }"
    for status, expected in (("CANCELLED", [done]), ("PENDING", [waiting]), (None, [waiting, done])):
        shown = (await stage.ask(document, status=status))["generations"]
        assert [global_id("Generation", row.id) for row in expected] == [node["id"] for node in shown["nodes"]]
        assert len(expected) == shown["totalCount"]


async def test_a_full_page_of_everything(stage_on_each: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """50 pictures with their whole provenance cost as many queries as one has levels."""
    stage = stage_on_each
    stage.daily_credits = 1000
    model = global_id("LoraModel", (await stage.ready_model()).id)
    for _ in range(50):
        await stage.generation(modelId=model)
    with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
        caplog.clear()
        page = (await stage.ask(PROVENANCE))["generations"]
        count = sum("SELECT" in record.getMessage() for record in caplog.records)
    assert (50, 50) == (len(page["nodes"]), page["totalCount"])
    # page, count, submissions, loras; trainings; their photos, hashes and submissions
    assert 8 == count
