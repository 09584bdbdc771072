"""Query.trainings."""

import logging

import pytest

from schema.types.node import global_id
from tests.api.schema_stage import Stage

NESTED = """{ trainings(first: 100) { totalCount nodes {
  id status falRequestId model { id modelUrl training { id photos { id } } } photos { id url }
  latestProgress { seq training { id } } baseModel { id }
} } }"""


async def test_by_status(stage: Stage) -> None:
    """Only those that stand where asked; null asks for all."""
    done, waiting = (await stage.ready_model()).id, await stage.training()
    document = "query($status: TrainingStatus) { trainings(status: $status) { totalCount nodes { id model { id } } } }"
    completed = (await stage.ask(document, status="COMPLETED"))["trainings"]
    assert (1, global_id("LoraModel", done)) == (completed["totalCount"], completed["nodes"][0]["model"]["id"])
    pending = (await stage.ask(document, status="PENDING"))["trainings"]
    assert (1, global_id("Training", waiting.id)) == (pending["totalCount"], pending["nodes"][0]["id"])
    assert 2 == (await stage.ask(document, status=None))["trainings"]["totalCount"]


async def test_queries_do_not_grow_with_the_page(stage_on_each: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A page of one and a page of three cost the same number of SQL queries, one for each nested field."""
    stage, counts = stage_on_each, []
    for trainings in (1, 2):
        for _ in range(trainings):
            await stage.training()
        with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
            caplog.clear()
            await stage.ask(NESTED)
            counts.append(sum("SELECT" in record.getMessage() for record in caplog.records))
    # count, page, submissions, models, photos, newest events; a level deeper: trainings of models, their photos
    assert [8, 8] == counts


async def test_by_model(stage: Stage) -> None:
    """The training that made a model."""
    model, _ = await stage.ready_model(), await stage.training()
    document = "query($id: ID) { trainings(modelId: $id) { nodes { model { id } } } }"
    id = global_id("LoraModel", model.id)
    assert {"trainings": {"nodes": [{"model": {"id": id}}]}} == await stage.ask(document, id=id)
