"""Mutation.generateImage with presets, photos and parameters."""

from typing import Any

import pytest

from models.generation import Generation
from schema.types.node import global_id
from services.preset_data import PRESETS, PresetSeed
from tests.api.schema_stage import GENERATE, Stage, unknown_ids

SHOWN = "query($id: ID!) { generation(id: $id) { type preset { id key } prompt finalPrompt } }"
ESTIMATE = "query($input: GenerateImageInput!) { estimateGeneration(input: $input) { credits } }"


async def generate(stage: Stage, **input: Any) -> dict[str, Any]:
    """The payload of a request for images."""
    payload: dict[str, Any] = (await stage.ask(GENERATE, input=input))["generateImage"]
    return payload


async def refusal(stage: Stage, **input: Any) -> tuple[str, list[str]]:
    """Code and path of a refused request, which must have cost nothing."""
    payload = await generate(stage, **input)
    [error] = payload["userErrors"]
    assert ([], 0, []) == (payload["generations"], await Generation.all().count(), stage.jobs.enqueued)
    assert 0 == (await stage.credits.quota(stage.me.id)).daily_used
    return error["code"], error["path"]


@pytest.mark.parametrize("seed", PRESETS, ids=lambda seed: seed.key)
async def test_every_preset_is_accepted(stage: Stage, seed: PresetSeed) -> None:
    """By its global id, at two credits, and the picture shows it."""
    [photo] = await stage.photo_ids(1)
    given = {"sourcePhotoId": photo} if seed.needs_photo else {}
    payload = await generate(stage, presetId=global_id("Preset", seed.key), **given)
    assert [] == payload["userErrors"]
    [accepted] = payload["generations"]
    shown = (await stage.ask(SHOWN, id=accepted["id"]))["generation"]
    assert (seed.type, {"id": global_id("Preset", seed.key), "key": seed.key}) == (shown["type"], shown["preset"])
    assert 2 == (await stage.credits.quota(stage.me.id)).daily_used
    assert list(seed.models) == (await Generation.get()).models


async def test_by_key_with_a_model_and_words(stage: Stage) -> None:
    """A key will do; trigger words come first, what the user adds last, and the model's own generator draws."""
    model = await stage.ready_model()
    given = {"presetId": "portrait_film", "modelId": global_id("LoraModel", model.id), "prompt": "a red hat"}
    row = await stage.generation(**given)
    assert (row.final_prompt or "").startswith(f"{model.trigger_word}, portrait on 35mm colour film")
    assert (row.final_prompt or "").endswith("candid, a red hat")
    assert ["fal-ai/flux-lora"] == row.models


async def test_without_words(stage: Stage) -> None:
    """The prompt is null, and the preset's own words are sent."""
    row = await stage.generation(presetId="portrait_film", prompt=None)
    shown = (await stage.ask(SHOWN, id=global_id("Generation", row.id)))["generation"]
    assert shown["prompt"] is None
    assert shown["finalPrompt"].startswith("a person, portrait on 35mm colour film")


async def test_parameters_are_kept(stage: Stage) -> None:
    """What the run sends later; the photo is only named."""
    [photo] = await stage.photo_ids(1)
    row = await stage.generation(sourcePhotoId=photo, strength=0.4, steps=20, guidance=7.5, format="jpeg")
    assert {"strength": 0.4, "steps": 20, "guidance": 7.5, "format": "jpeg"} == row.parameters
    assert photo == global_id("Photo", row.source_photo_id)


@pytest.mark.parametrize("number", range(9))
async def test_photos_of_others(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all NOT_FOUND."""
    theirs = await stage.photo(stage.stranger)
    id = unknown_ids("Photo", theirs.id)[number]
    assert ("NOT_FOUND", ["input", "sourcePhotoId"]) == await refusal(stage, presetId="ghibli_tears", sourcePhotoId=id)


@pytest.mark.parametrize("text", ["\u0000", "\ud800"])
async def test_what_no_database_can_hold(stage_on_each: Stage, text: str) -> None:
    """It is refused before a query, wherever it is written."""
    stage = stage_on_each
    assert ("NOT_FOUND", ["input", "presetId"]) == await refusal(stage, presetId=text)
    assert ("NOT_FOUND", ["input", "presetId"]) == await refusal(stage, presetId=global_id("Preset", "\u0000"))
    assert ("INVALID_INPUT", ["input", "runId"]) == await refusal(stage, prompt="a cat", runId=text)
    assert ("INVALID_INPUT", ["input", "prompt"]) == await refusal(stage, prompt=text)


@pytest.mark.parametrize("id", ["", "nothing", "GHIBLI_TEARS", global_id("Preset", "nothing"), "\u0000"])
async def test_unknown_presets(stage: Stage, id: str) -> None:
    """NOT_FOUND at its field, also for one that is switched off."""
    assert ("NOT_FOUND", ["input", "presetId"]) == await refusal(stage, presetId=id)
    await stage.services.presets.switch("portrait_film", on=False)
    assert ("NOT_FOUND", ["input", "presetId"]) == await refusal(stage, presetId="portrait_film")


async def test_a_preset_without_its_photo(stage: Stage) -> None:
    """The field that is missing is named."""
    for seed in PRESETS:
        if seed.needs_photo:
            assert ("INVALID_INPUT", ["input", "sourcePhotoId"]) == await refusal(stage, presetId=seed.key)


async def test_models_where_none_is_used(stage: Stage) -> None:
    """A reaction redraws a photo, and knows no trained model."""
    [photo] = await stage.photo_ids(1)
    given = {"presetId": "ghibli_tears", "sourcePhotoId": photo, "modelId": "x"}
    assert ("INVALID_INPUT", ["input", "modelId"]) == await refusal(stage, **given)


@pytest.mark.parametrize(
    ("input", "field"),
    [
        ({"presetId": "ghibli_tears", "steps": 20}, "steps"),
        ({"presetId": "ghibli_tears", "format": "png"}, "format"),
        ({"presetId": "neo_glitch_neon", "steps": 66}, "steps"),
        ({"presetId": "neo_glitch_neon", "strength": 0.04}, "strength"),
        ({"presetId": "portrait_film", "prompt": "a\u0001"}, "prompt"),
        ({"presetId": "portrait_film", "numImages": 5}, "numImages"),
    ],
)
async def test_numbers_beyond_the_model(stage: Stage, input: dict[str, Any], field: str) -> None:
    """The model's own limits, at the field."""
    [photo] = await stage.photo_ids(1)
    assert ("INVALID_INPUT", ["input", field]) == await refusal(stage, sourcePhotoId=photo, **input)


async def test_a_family_that_redraws_nothing(stage: Stage) -> None:
    """The photo is not dropped: the request is refused."""
    model = await stage.ready_model()
    await type(model).filter(id=model.id).update(base_model="flux-krea-trainer")
    [photo] = await stage.photo_ids(1)
    used = (await stage.credits.quota(stage.me.id)).daily_used
    given = {"prompt": "a cat", "modelId": global_id("LoraModel", model.id), "sourcePhotoId": photo}
    payload = await generate(stage, **given)
    assert [["input", "sourcePhotoId"]] == [error["path"] for error in payload["userErrors"]]
    assert used == (await stage.credits.quota(stage.me.id)).daily_used


async def test_models_of_two_families(stage: Stage) -> None:
    """They do not work together."""
    one, other = await stage.ready_model(), await stage.ready_model()
    await type(other).filter(id=other.id).update(base_model="qwen-image-trainer")
    loras = [{"modelId": global_id("LoraModel", model.id)} for model in (one, other)]
    payload = await generate(stage, prompt="a cat", loras=loras)
    assert [("INVALID_INPUT", ["input", "loras"])] == [(e["code"], e["path"]) for e in payload["userErrors"]]


async def test_an_estimate_is_as_strict(stage: Stage) -> None:
    """What would be refused has no price."""
    [photo] = await stage.photo_ids(1)
    given = {"presetId": "ghibli_tears", "sourcePhotoId": photo, "numImages": 3}
    assert {"estimateGeneration": {"credits": 6}} == await stage.ask(ESTIMATE, input=given)
    _, code, path = await stage.refusal(ESTIMATE, input={"presetId": "ghibli_tears"})
    assert ("BAD_USER_INPUT", ["input", "sourcePhotoId"]) == (code, path)
