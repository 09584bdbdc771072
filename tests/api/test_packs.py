"""Mutation.generatePack and Subscription.batchProgress."""

from typing import Any

import pytest

from models.errors import ResultUnusable
from models.generation import Generation
from models.preset import Preset
from schema.types.node import global_id
from tests.api.schema_stage import GENERATE, Stage

PACK = """mutation($input: GeneratePackInput!) {
  generatePack(input: $input) { generations { id runId preset { key } } userErrors { __typename code message path } }
}"""
PROGRESS = """subscription($runId: String!) { batchProgress(runId: $runId) { seq status generation { id status } } }"""


async def run(stage: Stage, **input: Any) -> dict[str, Any]:
    """The payload of a pack."""
    payload: dict[str, Any] = (await stage.ask(PACK, input=input))["generatePack"]
    return payload


async def refusal(stage: Stage, **input: Any) -> tuple[str, list[str] | None]:
    """Code and path of a refused pack; nothing is kept."""
    payload = await run(stage, **input)
    [error] = payload["userErrors"]
    assert ([], 0, []) == (payload["generations"], await Generation.all().count(), stage.jobs.enqueued)
    return error["code"], error["path"]


async def test_one_generation_per_preset(stage: Stage) -> None:
    """In the pack's order, under one run, each with its price and its file's name."""
    [photo] = await stage.photo_ids(1)
    payload = await run(stage, pack="ghibli_reactions", sourcePhotoId=photo, runId="run-1")
    assert [] == payload["userErrors"]
    assert [("ghibli_tears", "run-1"), ("ghibli_shock", "run-1"), ("ghibli_sparkle", "run-1")] == [
        (one["preset"]["key"], one["runId"]) for one in payload["generations"]
    ]
    names = await Generation.all().order_by("position").values_list("asset_name", flat=True)
    assert ["ghibli_run-1", "ghibli_run-1_1", "ghibli_run-1_2"] == names
    assert 6 == (await stage.credits.quota(stage.me.id)).daily_used


async def test_with_a_trained_model(stage: Stage) -> None:
    """Its trigger word is first in each prompt, and each has its own seed."""
    model = await stage.ready_model()
    await run(stage, pack="professional", modelId=global_id("LoraModel", model.id))
    rows = await Generation.all()
    assert 4 == len(rows) == len({row.seed for row in rows})
    assert all((row.final_prompt or "").startswith(f"{model.trigger_word}, ") for row in rows)


async def test_the_same_run_again(stage: Stage) -> None:
    """The same generations; with another input CONFLICT, also for a request of single images."""
    [photo, other] = await stage.photo_ids(2)
    given = {"pack": "glitch_set", "sourcePhotoId": photo, "runId": "r"}
    assert await run(stage, **given) == await run(stage, **given)
    assert 4 == await Generation.all().count()
    [error] = (await run(stage, **given | {"sourcePhotoId": other}))["userErrors"]
    assert ("CONFLICT", ["input", "runId"]) == (error["code"], error["path"])
    [error] = (await stage.ask(GENERATE, input={"prompt": "a", "runId": "r"}))["generateImage"]["userErrors"]
    assert "CONFLICT" == error["code"]


async def test_all_or_none(stage: Stage) -> None:
    """Credits for two of three: nothing is accepted, nothing is charged, and the price of all three is named."""
    stage.daily_credits = 5
    [photo] = await stage.photo_ids(1)
    [error] = (await run(stage, pack="ghibli_reactions", sourcePhotoId=photo))["userErrors"]
    assert "This costs 6 credits and 5 are available." == error["message"]
    assert ("INSUFFICIENT_CREDITS", None) == await refusal(stage, pack="ghibli_reactions", sourcePhotoId=photo)
    assert 0 == (await stage.credits.quota(stage.me.id)).daily_used


@pytest.mark.parametrize(
    ("input", "code", "field"),
    [
        ({"pack": "nothing"}, "NOT_FOUND", "pack"),
        ({"pack": ""}, "NOT_FOUND", "pack"),
        ({"pack": "ghibli_reactions"}, "INVALID_INPUT", "sourcePhotoId"),
        ({"pack": "ghibli_reactions", "sourcePhotoId": "x"}, "NOT_FOUND", "sourcePhotoId"),
        ({"pack": "professional", "modelId": "x"}, "NOT_FOUND", "modelId"),
        ({"pack": "professional", "runId": ""}, "INVALID_INPUT", "runId"),
        ({"pack": "professional", "runId": "a\u0007"}, "INVALID_INPUT", "runId"),
    ],
)
async def test_bad_input(stage: Stage, input: dict[str, Any], code: str, field: str) -> None:
    """Its own code and path, and nothing is charged."""
    assert (code, ["input", field]) == await refusal(stage, **input)


async def test_one_stream_for_all(stage: Stage) -> None:
    """The newest event of each, live ones, and the end after all have ended, well or not."""
    [photo] = await stage.photo_ids(1)
    await run(stage, pack="ghibli_reactions", sourcePhotoId=photo, runId="run-1")
    rows = await Generation.all().order_by("position")
    await stage.generations.fail(rows[0].id, ResultUnusable(reason="torn."))
    seen: list[tuple[str, int, str]] = []
    async with stage.following(PROGRESS, runId="run-1") as results:
        async for result in results:
            assert result.errors is None
            event = result.data["batchProgress"]
            seen.append((event["generation"]["id"], event["seq"], event["status"]))
            if len(seen) == 3:
                await stage.generations.progress(rows[1].id, message="Keeping the image")
                await stage.generations.complete(rows[1].id, location="image/a.png")
                await stage.generations.cancel(rows[2].id)
    told = {row.id: [event[1:] for event in seen if event[0] == global_id("Generation", row.id)] for row in rows}
    assert [(2, "FAILED")] == told[rows[0].id]
    assert [(1, "PENDING"), (2, "PROCESSING"), (3, "COMPLETED")] == told[rows[1].id]
    assert [(1, "PENDING"), (2, "CANCELLED")] == told[rows[2].id]
    assert {} == stage.bus.listeners


async def test_leaving_the_stream_early(stage: Stage) -> None:
    """Nobody listens any more."""
    await run(stage, pack="professional", runId="run-1")
    async with stage.following(PROGRESS, runId="run-1") as results:
        await anext(results)
    assert {} == stage.bus.listeners


@pytest.mark.parametrize("run_id", ["", "nothing", "theirs", "\u0000", "\ud800", "x" * 256])
async def test_unknown_runs(stage_on_each: Stage, run_id: str) -> None:
    """A stranger's run is as unknown as any, and so is what no database can hold."""
    stage = stage_on_each
    await stage.generation(stage.stranger, runId="theirs")
    expected = ("There is no run with this id.", "BAD_USER_INPUT", ["runId"])
    assert expected == await stage.refused_stream(PROGRESS, runId=run_id)


async def test_the_same_run_after_its_presets_were_switched_off(stage: Stage) -> None:
    """What was started stays the answer; a new run finds no pack."""
    started = await run(stage, pack="professional", runId="r")
    await Preset.all().update(enabled=False)
    assert started == await run(stage, pack="professional", runId="r")
    [error] = (await run(stage, pack="professional", runId="new"))["userErrors"]
    assert ("NOT_FOUND", ["input", "pack"]) == (error["code"], error["path"])
