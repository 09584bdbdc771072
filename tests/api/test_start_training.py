"""Mutation.startTraining."""

import re
from typing import Any

import pytest

from models.training import Training
from schema.types.node import global_id
from tests.api.schema_stage import START, Stage, unknown_ids


async def start(stage: Stage, **input: Any) -> dict[str, Any]:
    """The payload of a start with two good photos, or what is given."""
    given = {"modelName": "My Portrait 2025"} | input
    if "imagesDataUrl" not in given and "photoIds" not in given:
        given["photoIds"] = await stage.photo_ids()
    payload: dict[str, Any] = (await stage.ask(START, input=given))["startTraining"]
    return payload


async def test_a_start(stage: Stage) -> None:
    """The training is PENDING, its run is enqueued once, its price is reserved."""
    payload = await start(stage)
    row = await Training.get(owner_id=stage.me.id)
    assert {"training": {"id": global_id("Training", row.id), "status": "PENDING"}, "userErrors": []} == payload
    assert [("training", row.id)] == stage.jobs.enqueued
    assert 20 == (await stage.credits.quota(stage.me.id)).daily_used
    assert re.fullmatch("MY_PORTRAIT_2025_[0-9A-F]{4}", row.trigger_word)


async def test_null_counts_as_absent(stage: Stage) -> None:
    """Explicit nulls give the same training as leaving the fields out."""
    optional = [
        "imagesDataUrl", "gender", "quality", "steps", "isStyle", "createMasks", "baseModelId", "loraRank",
        "learningRate", "batchSize",
    ]  # fmt: skip
    photos = await stage.photo_ids()
    absent = await start(stage, photoIds=photos, idempotencyKey="k")
    nulls = await start(stage, photoIds=photos, idempotencyKey="k", triggerWord=None, **dict.fromkeys(optional))
    assert absent == nulls
    row = await Training.get(owner_id=stage.me.id)
    assert (1000, False, True, "flux-lora-fast-training") == (
        row.steps, row.is_style, row.create_masks, row.base_model,
    )  # fmt: skip


async def test_everything_given(stage: Stage) -> None:
    """Each field reaches the row."""
    payload = await start(
        stage, triggerWord="ANNA", gender="MAN", quality="ECONOMY", isStyle=False, createMasks=False,
        baseModelId=global_id("BaseModel", "flux-krea-trainer"), loraRank=8, learningRate=0.01, batchSize=2,
    )  # fmt: skip
    assert [] == payload["userErrors"]
    row = await Training.get(owner_id=stage.me.id)
    assert ("ANNA", "MAN", 500, False, "flux-krea-trainer", 8, 0.01, 2) == (
        row.trigger_word, row.gender, row.steps, row.create_masks, row.base_model, row.lora_rank, row.learning_rate,
        row.batch_size,
    )  # fmt: skip


async def test_the_url_of_a_zip(stage: Stage) -> None:
    """It stands in for the photos."""
    assert [] == (await start(stage, imagesDataUrl="https://files.example/a.zip"))["userErrors"]
    assert "https://files.example/a.zip" == (await Training.get(owner_id=stage.me.id)).images_data_url


async def test_the_same_key_and_input(stage: Stage) -> None:
    """One training, paid once."""
    photos = await stage.photo_ids()
    first = await start(stage, photoIds=photos, idempotencyKey="k")
    assert first == await start(stage, photoIds=photos, idempotencyKey="k")
    assert 20 == (await stage.credits.quota(stage.me.id)).daily_used


async def test_the_same_key_with_another_input(stage: Stage) -> None:
    """CONFLICT, and nothing changes."""
    photos = await stage.photo_ids()
    await start(stage, photoIds=photos, idempotencyKey="k")
    error = {
        "__typename": "InvalidInputError", "code": "CONFLICT", "path": ["input", "idempotencyKey"],
        "message": "This idempotencyKey was used with another input.",
    }  # fmt: skip
    again = await start(stage, photoIds=photos, idempotencyKey="k", steps=7)
    assert {"training": None, "userErrors": [error]} == again
    assert 1 == await Training.all().count()


async def test_too_few_credits(stage: Stage) -> None:
    """The error carries the price and what is there; nothing is kept."""
    document = START.replace("path }", "path ... on InsufficientCreditsError { required available } }")
    stage.daily_credits = 19
    input = {"modelName": "A", "photoIds": await stage.photo_ids()}
    payload = (await stage.ask(document, input=input))["startTraining"]
    error = {
        "__typename": "InsufficientCreditsError", "code": "INSUFFICIENT_CREDITS", "path": None,
        "message": "This costs 20 credits and 19 are available.", "required": 20, "available": 19,
    }  # fmt: skip
    assert {"training": None, "userErrors": [error]} == payload
    assert 0 == await Training.all().count()


@pytest.mark.parametrize("number", range(9))
async def test_unknown_photos(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all NOT_FOUND, with the place of the first in the path."""
    mine, theirs = await stage.photo_ids(1), await stage.photo(stage.stranger)
    error = {
        "__typename": "NotFoundError", "code": "NOT_FOUND", "path": ["input", "photoIds", "1"],
        "message": "There is no photo with this id.",
    }  # fmt: skip
    payload = await start(stage, photoIds=[*mine, unknown_ids("Photo", theirs.id)[number]])
    assert {"training": None, "userErrors": [error]} == payload


@pytest.mark.parametrize(
    ("input", "kind", "code", "path"),
    [
        ({"modelName": ""}, "InvalidInputError", "INVALID_INPUT", ["input", "modelName"]),
        ({"modelName": "x" * 101}, "InvalidInputError", "INVALID_INPUT", ["input", "modelName"]),
        ({"triggerWord": "a,b"}, "InvalidInputError", "INVALID_INPUT", ["input", "triggerWord"]),
        ({"steps": 0}, "InvalidInputError", "INVALID_INPUT", ["input", "steps"]),
        ({"steps": 10001}, "InvalidInputError", "INVALID_INPUT", ["input", "steps"]),
        ({"loraRank": 0}, "InvalidInputError", "INVALID_INPUT", ["input", "loraRank"]),
        ({"batchSize": 33}, "InvalidInputError", "INVALID_INPUT", ["input", "batchSize"]),
        ({"learningRate": 1.5}, "InvalidInputError", "INVALID_INPUT", ["input", "learningRate"]),
        ({"idempotencyKey": ""}, "InvalidInputError", "INVALID_INPUT", ["input", "idempotencyKey"]),
        ({"photoIds": None}, "InvalidInputError", "INVALID_INPUT", ["input", "photoIds"]),
        ({"photoIds": []}, "InvalidInputError", "NOT_ENOUGH_PHOTOS", ["input", "photoIds"]),
        ({"photoIds": ["a"] * 9}, "InvalidInputError", "NOT_ENOUGH_PHOTOS", ["input", "photoIds"]),
        ({"photoIds": list("abcdefg")}, "InvalidInputError", "TOO_MANY_PHOTOS", ["input", "photoIds"]),
        ({"imagesDataUrl": "http://a.example/a.zip"}, "InvalidInputError", "INVALID_INPUT", ["input", "imagesDataUrl"]),
        ({"baseModelId": "QmFzZU1vZGVsOng="}, "NotFoundError", "NOT_FOUND", ["input", "baseModelId"]),
        ({"baseModelId": "flux-krea-trainer"}, "NotFoundError", "NOT_FOUND", ["input", "baseModelId"]),
    ],
)
async def test_bad_input(stage: Stage, input: dict[str, Any], kind: str, code: str, path: list[str]) -> None:
    """Each field has a bound and an error naming it, and nothing is kept."""
    payload = await start(stage, **input)
    [error] = payload["userErrors"]
    assert (None, kind, code, path) == (payload["training"], error["__typename"], error["code"], error["path"])
    assert (0, []) == (await Training.all().count(), stage.jobs.enqueued)
