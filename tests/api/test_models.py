"""Query.models and Query.model."""

import pytest

from schema.types.node import global_id
from tests.api.schema_stage import Stage, unknown_ids

FIELDS = "id name triggerWord status modelUrl configUrl training { id status } createdAt"


async def test_all_fields(stage: Stage) -> None:
    """A finished model, alone and in the list."""
    model = await stage.ready_model()
    [training] = (await stage.ask("{ trainings { nodes { id } } }"))["trainings"]["nodes"]
    expected = {
        "id": global_id("LoraModel", model.id), "name": "My Portrait 2025", "triggerWord": model.trigger_word,
        "status": "COMPLETED", "modelUrl": "https://assets.example/weights/a.safetensors",
        "configUrl": "https://assets.example/weights/a.json", "createdAt": "2026-01-31T12:00:00.000Z",
        "training": {"id": training["id"], "status": "COMPLETED"},
    }  # fmt: skip
    assert {"models": {"nodes": [expected]}} == await stage.ask(f"{{ models {{ nodes {{ {FIELDS} }} }} }}")
    alone = await stage.ask(f"query($id: ID!) {{ model(id: $id) {{ {FIELDS} }} }}", id=expected["id"])
    assert {"model": expected} == alone


@pytest.mark.parametrize("number", range(9))
async def test_unknown_ids(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all null."""
    theirs = await stage.ready_model(stage.stranger)
    id = unknown_ids("LoraModel", theirs.id)[number]
    assert {"model": None} == await stage.ask("query($id: ID!) { model(id: $id) { id } }", id=id)


async def test_by_name_and_status(stage: Stage) -> None:
    """A part of the name in any case, with `%` and `_` as they are, and where its training stands."""
    stage.daily_credits = 1000
    for name in ("Anna 100%", "anna_b", "Boris"):
        await stage.training(modelName=name)
    await stage.ready_model()
    document = """query($search: String, $status: TrainingStatus) {
      models(search: $search, status: $status) { totalCount nodes { name } }
    }"""
    for variables, expected in [
        ({"search": "ANNA"}, ["anna_b", "Anna 100%"]),
        ({"search": "%"}, ["Anna 100%"]),
        ({"search": "_"}, ["anna_b"]),
        ({"search": "nobody"}, []),
        ({"status": "COMPLETED"}, ["My Portrait 2025"]),
        ({"search": "a", "status": "COMPLETED"}, ["My Portrait 2025"]),
    ]:
        shown = (await stage.ask(document, **variables))["models"]
        assert (expected, len(expected)) == ([node["name"] for node in shown["nodes"]], shown["totalCount"])


async def test_any_case_of_any_script(stage_on_each: Stage) -> None:
    """Letters beyond ASCII have cases too."""
    stage = stage_on_each
    await stage.training(modelName="Мой Портрет ÄRGER")
    document = "query($search: String) { models(search: $search) { totalCount } }"
    for search in ("мой", "МОЙ ПОРТРЕТ", "ärger", "Ärger"):
        assert {"models": {"totalCount": 1}} == await stage.ask(document, search=search)


@pytest.mark.parametrize("search", ["\u0000", "My\u0000", "\ud800", "\u0007", "x" * 101, "%" * 60_000])
async def test_what_no_name_can_have(stage_on_each: Stage, search: str) -> None:
    """It finds nothing, also where no database would take it."""
    stage = stage_on_each
    await stage.training()
    document = "query($search: String) { models(search: $search) { totalCount nodes { name } } }"
    assert {"models": {"totalCount": 0, "nodes": []}} == await stage.ask(document, search=search)
