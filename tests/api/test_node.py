"""Query.node."""

import pytest

from schema.types.node import global_id
from tests.api.schema_stage import Stage, unknown_ids

DOCUMENT = "query($id: ID!) { node(id: $id) { __typename id } }"


async def test_every_kind(stage: Stage) -> None:
    """Each object's own id leads back to it."""
    model = await stage.ready_model()
    document = """{
      photos { nodes { id __typename } } trainings { nodes { id __typename } } models { nodes { id __typename } }
      generations { nodes { id __typename } } baseModels { id __typename }
    }"""
    await stage.generation(modelId=global_id("LoraModel", model.id))
    data = await stage.ask(document)
    base_models = data.pop("baseModels")
    nodes = [nodes["nodes"][0] for nodes in data.values()] + base_models
    assert {"Photo", "Training", "LoraModel", "Generation", "BaseModel"} == {node["__typename"] for node in nodes}
    assert [{"node": node} for node in nodes] == [await stage.ask(DOCUMENT, id=node["id"]) for node in nodes]


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("kind", ["Photo", "Training", "LoraModel", "Generation"])
async def test_unknown_ids(stage: Stage, kind: str, number: int) -> None:
    """Malformed, unknown and a stranger's are all null, and no error."""
    generation = await stage.generation(stage.stranger)
    training = await stage.training(stage.stranger)
    photo = await stage.photo(stage.stranger)
    theirs = {"Photo": photo.id, "Training": training.id, "LoraModel": training.model_id, "Generation": generation.id}
    assert {"node": None} == await stage.ask(DOCUMENT, id=unknown_ids(kind, theirs[kind])[number])


@pytest.mark.parametrize("id", [global_id("Viewer", "x"), global_id("BaseModel", "x"), global_id("Preset", "x")])
async def test_kinds_without_such_an_object(stage: Stage, id: str) -> None:
    """A type that is no node, or a key that does not exist, is null."""
    assert {"node": None} == await stage.ask(DOCUMENT, id=id)
