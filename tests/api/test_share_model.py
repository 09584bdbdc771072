"""Mutation.shareModel, and what others see of a shared model."""

import pytest

from models.lora import LoraModel
from schema.types.node import global_id
from tests.api.schema_stage import GENERATE, Stage, unknown_ids

NOON = "2026-01-31T12:00:00.000Z"  # the stage's clock
SHARE = """mutation($input: ShareModelInput!) {
  shareModel(input: $input) { model { sharedAt } userErrors { __typename code path } }
}"""
SEEN = "name triggerWord status sharedAt modelUrl configUrl training { id photos { id } }"
MODEL = f"query($id: ID!) {{ model(id: $id) {{ {SEEN} }} node(id: $id) {{ ... on LoraModel {{ {SEEN} }} }} }}"
MODELS = "{ models { nodes { id } } }"
DRAWN = f"""query($id: ID!) {{ generation(id: $id) {{
  loraModels {{ {SEEN} }} provenance {{ loras {{ model {{ {SEEN} }} }} }}
}} }}"""


async def shared(stage: Stage, *, shared: bool = True, model: LoraModel | None = None) -> LoraModel:
    """A ready model of the stranger, who shares it, or no longer."""
    model = model or await stage.ready_model(stage.stranger)
    input = {"id": global_id("LoraModel", model.id), "shared": shared}
    payload = (await stage.ask(SHARE, viewer=stage.stranger, input=input))["shareModel"]
    since = NOON if shared else None
    assert {"model": {"sharedAt": since}, "userErrors": []} == payload
    return await LoraModel.get(id=model.id)


async def refusals(stage: Stage, model: LoraModel) -> list[tuple[str, list[str]]]:
    """How the viewer's wish to draw with a model is refused."""
    payload = await stage.ask(GENERATE, input={"prompt": "a portrait", "modelId": global_id("LoraModel", model.id)})
    return [(error["code"], error["path"]) for error in payload["generateImage"]["userErrors"]]


def outside(model: LoraModel) -> dict[str, object]:
    """What others see: nothing that leads to the person."""
    facts = {"name": model.name, "triggerWord": model.trigger_word, "status": "COMPLETED"}
    facts |= {"sharedAt": NOON}
    return facts | {"modelUrl": None, "configUrl": None, "training": None}


async def test_others_draw_with_it(stage: Stage) -> None:
    """With its trigger word, at their own cost; they see its name, and neither training, photos nor weights."""
    model = await shared(stage)
    generation = await stage.generation(modelId=global_id("LoraModel", model.id))
    assert f"{model.trigger_word}, a portrait" == generation.final_prompt
    drawn = (await stage.ask(DRAWN, id=global_id("Generation", generation.id)))["generation"]
    seen = outside(model)
    assert {"loraModels": [seen], "provenance": {"loras": [{"model": seen}]}} == drawn


async def test_others_find_it_by_its_id_only(stage: Stage) -> None:
    """`model` and `node` show it, `models` does not."""
    model = await shared(stage)
    seen = outside(model)
    assert {"model": seen, "node": seen} == await stage.ask(MODEL, id=global_id("LoraModel", model.id))
    assert {"models": {"nodes": []}} == await stage.ask(MODELS)


async def test_its_owner_sees_all_of_it(stage: Stage) -> None:
    """Sharing takes nothing away."""
    model = await shared(stage)
    seen = (await stage.ask(MODEL, viewer=stage.stranger, id=global_id("LoraModel", model.id)))["model"]
    assert (True, True, 2) == (bool(seen["modelUrl"]), bool(seen["configUrl"]), len(seen["training"]["photos"]))


async def test_own_and_shared_together(stage: Stage) -> None:
    """Two people in one picture, with both trigger words."""
    theirs, mine = await shared(stage), await stage.ready_model()
    loras = [{"modelId": global_id("LoraModel", model.id)} for model in (mine, theirs)]
    generation = await stage.generation(loras=loras)
    assert f"{mine.trigger_word}, {theirs.trigger_word}, a portrait" == generation.final_prompt


async def test_it_is_taken_back(stage: Stage) -> None:
    """Nobody else draws with it from then on, and what was begun goes on."""
    model = await shared(stage)
    generation = await stage.generation(modelId=global_id("LoraModel", model.id))
    await shared(stage, shared=False, model=model)
    assert [("NOT_FOUND", ["input", "modelId"])] == await refusals(stage, model)
    assert {"model": None, "node": None} == await stage.ask(MODEL, id=global_id("LoraModel", model.id))
    drawn = (await stage.ask(DRAWN, id=global_id("Generation", generation.id)))["generation"]
    assert [model.name] == [lora["name"] for lora in drawn["loraModels"]]


async def test_a_deleted_model_is_shared_with_nobody(stage: Stage) -> None:
    """Deleting ends the sharing, too."""
    model = await shared(stage)
    await stage.services.removal.delete_model(stage.stranger.id, model.id)
    assert [("NOT_FOUND", ["input", "modelId"])] == await refusals(stage, model)


@pytest.mark.parametrize("number", range(9))
async def test_unknown_models(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all NOT_FOUND, a shared one too."""
    theirs = await shared(stage)
    payload = await stage.ask(SHARE, input={"id": unknown_ids("LoraModel", theirs.id)[number], "shared": False})
    error = {"__typename": "NotFoundError", "code": "NOT_FOUND", "path": ["input", "id"]}
    assert {"model": None, "userErrors": [error]} == payload["shareModel"]
    assert (await LoraModel.get(id=theirs.id)).shared_at
