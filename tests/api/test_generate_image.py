"""Mutation.generateImage."""

from typing import Any

import pytest

from models.generation import Generation, GenerationLora
from schema.types.node import global_id
from tests.api.schema_stage import GENERATE, Stage, unknown_ids


async def generate(stage: Stage, **input: Any) -> dict[str, Any]:
    """The payload of a request for images."""
    payload: dict[str, Any] = (await stage.ask(GENERATE, input={"prompt": "a cat"} | input))["generateImage"]
    return payload


async def test_images_of_one_run(stage: Stage) -> None:
    """One generation per image, each with its own seed, price and run."""
    payload = await generate(stage, numImages=3, seed=7, runId="run-1")
    assert [] == payload["userErrors"]
    assert [("7", "run-1"), ("8", "run-1"), ("9", "run-1")] == [
        (generation["seed"], generation["runId"]) for generation in payload["generations"]
    ]
    rows = await Generation.all().order_by("position")
    assert [global_id("Generation", row.id) for row in rows] == [shown["id"] for shown in payload["generations"]]
    assert [("generation", row.id) for row in rows] == stage.jobs.enqueued
    assert 6 == (await stage.credits.quota(stage.me.id)).daily_used


async def test_null_counts_as_absent(stage: Stage) -> None:
    """Explicit nulls give the same generation as leaving the fields out."""
    optional = ["type", "presetId", "modelId", "loras", "sourcePhotoId", "numImages", "imageSize", "seed"]
    absent = await generate(stage, runId="r")
    assert absent == await generate(stage, runId="r", **dict.fromkeys(optional))
    assert 1 == len(absent["generations"])


async def test_loras(stage: Stage) -> None:
    """Models keep their order and scales; a scale that is null is 1."""
    models = [await stage.ready_model(), await stage.ready_model()]
    choices = [
        {"modelId": global_id("LoraModel", models[0].id), "scale": 0.5},
        {"modelId": global_id("LoraModel", models[1].id), "scale": None},
    ]
    assert [] == (await generate(stage, loras=choices))["userErrors"]
    kept = await GenerationLora.all().order_by("position").values_list("model_id", "scale")
    assert [(models[0].id, 0.5), (models[1].id, 1.0)] == kept


async def test_the_same_run_with_another_input(stage: Stage) -> None:
    """CONFLICT, and no generation of the earlier run in the answer."""
    await generate(stage, runId="r")
    error = {
        "__typename": "InvalidInputError", "code": "CONFLICT", "path": ["input", "runId"],
        "message": "This runId was used with another input.",
    }  # fmt: skip
    assert {"generations": [], "userErrors": [error]} == await generate(stage, runId="r", seed=1)


async def test_too_few_credits_for_all(stage: Stage) -> None:
    """All or none: the price is that of all, and all that can be spent is available."""
    stage.daily_credits = 5
    payload = await generate(stage, numImages=4)
    error = {
        "__typename": "InsufficientCreditsError", "code": "INSUFFICIENT_CREDITS", "path": None,
        "message": "This costs 8 credits and 5 are available.",
    }  # fmt: skip
    assert {"generations": [], "userErrors": [error]} == payload
    document = """mutation($input: GenerateImageInput!) { generateImage(input: $input) {
      userErrors { ... on InsufficientCreditsError { required available } } } }"""
    [error] = (await stage.ask(document, input={"prompt": "a cat", "numImages": 4}))["generateImage"]["userErrors"]
    assert {"required": 8, "available": 5} == error
    assert 0 == await Generation.all().count()


async def test_a_model_in_training(stage: Stage) -> None:
    """It cannot draw yet."""
    row = await stage.training()
    error = {
        "__typename": "InvalidInputError", "code": "MODEL_NOT_READY", "path": ["input", "modelId"],
        "message": "The model is PENDING; it can be used once its training is COMPLETED.",
    }  # fmt: skip
    payload = await generate(stage, modelId=global_id("LoraModel", row.model_id))
    assert {"generations": [], "userErrors": [error]} == payload


@pytest.mark.parametrize("number", range(9))
async def test_unknown_models(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all NOT_FOUND."""
    theirs = await stage.ready_model(stage.stranger)
    error = {
        "__typename": "NotFoundError", "code": "NOT_FOUND", "path": ["input", "modelId"],
        "message": "There is no model with this id.",
    }  # fmt: skip
    payload = await generate(stage, modelId=unknown_ids("LoraModel", theirs.id)[number])
    assert {"generations": [], "userErrors": [error]} == payload


@pytest.mark.parametrize(
    ("input", "path"),
    [
        ({"prompt": None}, ["input", "prompt"]),
        ({"prompt": " "}, ["input", "prompt"]),
        ({"prompt": "\u200b"}, ["input", "prompt"]),
        ({"prompt": "x" * 2001}, ["input", "prompt"]),
        ({"numImages": 0}, ["input", "numImages"]),
        ({"numImages": 5}, ["input", "numImages"]),
        ({"seed": -1}, ["input", "seed"]),
        ({"imageSize": "huge"}, ["input", "imageSize"]),
        ({"imageSize": "64x64"}, ["input", "imageSize"]),
        ({"runId": ""}, ["input", "runId"]),
        ({"type": "LORA"}, ["input", "modelId"]),
        ({"prompt": "a\u0007b"}, ["input", "prompt"]),
        ({"type": "NEO_GLITCH"}, ["input", "sourcePhotoId"]),
        ({"type": "PRESET"}, ["input", "presetId"]),
        ({"presetId": "ghibli_tears"}, ["input", "sourcePhotoId"]),
        ({"presetId": "portrait_film", "type": "NEO_GLITCH"}, ["input", "type"]),
        ({"strength": 0.5}, ["input", "strength"]),
        ({"steps": 71}, ["input", "steps"]),
        ({"guidance": 20.5}, ["input", "guidance"]),
        ({"format": "gif"}, ["input", "format"]),
        ({"modelId": "x", "type": "CUSTOM_PROMPT"}, ["input", "modelId"]),
        ({"modelId": "x", "loras": [{"modelId": "y"}]}, ["input", "modelId"]),
        ({"loras": [{"modelId": "x"}, {"modelId": "x"}]}, ["input", "loras"]),
        ({"loras": [{"modelId": "x", "scale": 4.1}]}, ["input", "loras", "0", "scale"]),
        ({"loras": [{"modelId": name} for name in "abcde"]}, ["input", "loras"]),
    ],
)
async def test_bad_input(stage: Stage, input: dict[str, Any], path: list[str]) -> None:
    """Each field has a bound and an error naming it, and nothing is kept."""
    payload = await generate(stage, **input)
    [error] = payload["userErrors"]
    assert ([], "InvalidInputError", "INVALID_INPUT", path) == (
        payload["generations"], error["__typename"], error["code"], error["path"],
    )  # fmt: skip
    assert (0, []) == (await Generation.all().count(), stage.jobs.enqueued)
