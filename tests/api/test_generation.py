"""Query.generation."""

from typing import Any

import pytest

from models.errors import ResultUnusable
from models.generation import Generation
from models.submission import Submission, SubmissionState
from schema.types.node import global_id
from tests.api.schema_stage import Stage, unknown_ids

DOCUMENT = """query($id: ID!) { generation(id: $id) {
  id type status prompt finalPrompt preset { id } loraModels { id } imageUrl originalFalUrl permanent falJobId model
  attempts { model falJobId error skipped } seed width height creditsSpent error { code message retryable } simulated
  createdAt completedAt runId
} }"""
NOON = "2026-01-31T12:00:00.000Z"


async def shown(stage: Stage, row: Generation) -> dict[str, Any]:
    """A generation as its owner sees it."""
    generation: dict[str, Any] = (await stage.ask(DOCUMENT, id=global_id("Generation", row.id)))["generation"]
    return generation


async def attempt(stage: Stage, row: Generation, number: int, **columns: Any) -> None:
    """A paid call, or one that was skipped."""
    await Submission.create(
        job_id=row.id, attempt=number, endpoint="e", needle="n", arguments={}, created_at=stage.clock.now(), **columns
    )


async def test_all_fields_of_a_new_one(stage: Stage) -> None:
    """A generation that was just accepted, field by field."""
    model = await stage.ready_model()
    row = await stage.generation(modelId=global_id("LoraModel", model.id), seed=7, runId="run-1")
    expected = {
        "id": global_id("Generation", row.id), "type": "LORA", "status": "PENDING", "prompt": "a portrait",
        "finalPrompt": f"{model.trigger_word}, a portrait", "preset": None,
        "loraModels": [{"id": global_id("LoraModel", model.id)}], "imageUrl": None, "originalFalUrl": None,
        "permanent": False, "falJobId": None, "model": None, "attempts": [], "seed": "7", "width": None,
        "height": None, "creditsSpent": 2, "error": None, "simulated": True, "createdAt": NOON, "completedAt": None,
        "runId": "run-1",
    }  # fmt: skip
    assert expected == await shown(stage, row)


async def test_the_image_while_it_is_being_kept(stage: Stage) -> None:
    """Until our copy is kept the provider's address is shown, and is not permanent."""
    row = await stage.generation()
    url = "https://provider.example/a.png"
    await stage.generations.progress(row.id, message="Keeping the image", original_fal_url=url)
    image = await shown(stage, row)
    assert (url, url, False) == (image["imageUrl"], image["originalFalUrl"], image["permanent"])


async def test_the_image_when_it_is_kept(stage: Stage) -> None:
    """Then the address is ours, and permanent."""
    row = await stage.generation()
    url = "https://provider.example/a.png"
    await stage.generations.progress(row.id, message="Keeping the image", original_fal_url=url, model="fal-ai/x")
    await stage.generations.complete(row.id, location="image/a.png", width=512, height=768)
    image = await shown(stage, row)
    assert ("https://assets.example/image/a.png", url, True) == (
        image["imageUrl"], image["originalFalUrl"], image["permanent"],
    )  # fmt: skip
    assert ("COMPLETED", 512, 768, NOON) == (image["status"], image["width"], image["height"], image["completedAt"])


async def test_a_failed_one(stage: Stage) -> None:
    """No image, the reason, and the credits are back; the provider's address is for reference only."""
    row = await stage.generation()
    url = "https://provider.example/a.png"
    await stage.generations.progress(row.id, message="Keeping the image", original_fal_url=url)
    await stage.generations.fail(row.id, ResultUnusable(reason="it is torn."))
    image = await shown(stage, row)
    error = {"code": "PROVIDER_REJECTED", "message": "The result could not be used: it is torn.", "retryable": False}
    assert (error, None, url, 0) == (image["error"], image["imageUrl"], image["originalFalUrl"], image["creditsSpent"])


async def test_attempts(stage: Stage) -> None:
    """Each tried model in order, the skipped ones too; the job id is of the newest call that was taken."""
    row = await stage.generation()
    await attempt(stage, row, 2, model="c", state=SubmissionState.DONE, request_id="r-c")
    await attempt(stage, row, 0, model="a", state=SubmissionState.SKIPPED, error="takes no models")
    await attempt(stage, row, 1, model="b", state=SubmissionState.FAILED, request_id="r-b", error="it is dark.")
    image = await shown(stage, row)
    expected = [
        {"model": "a", "falJobId": None, "error": "takes no models", "skipped": True},
        {
            "model": "b",
            "falJobId": "r-b",
            "error": "The image provider refused the request: it is dark.",
            "skipped": False,
        },
        {"model": "c", "falJobId": "r-c", "error": None, "skipped": False},
    ]
    assert (expected, "r-c") == (image["attempts"], image["falJobId"])


async def test_the_job_id_without_a_request_id(stage: Stage) -> None:
    """Once a model has answered, `{model}_{runId}` stands in: lower case, spaces to underscores (seed 003)."""
    row = await stage.generation(runId="run-1")
    await stage.generations.progress(row.id, message="Keeping the image", model="Fast SDXL Turbo")
    assert "fast_sdxl_turbo_run-1" == (await shown(stage, row))["falJobId"]


@pytest.mark.parametrize("number", range(9))
async def test_unknown_ids(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all null."""
    theirs = await stage.generation(stage.stranger)
    assert {"generation": None} == await stage.ask(DOCUMENT, id=unknown_ids("Generation", theirs.id)[number])
