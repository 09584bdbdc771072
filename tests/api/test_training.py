"""Query.training."""

from datetime import timedelta

import pytest

from models.errors import ProviderUnavailable
from models.lora import LoraModel
from models.photo import Photo
from models.status import TrainingStage
from models.submission import Submission
from models.training import TrainingPhoto
from schema.types.node import global_id
from tests.api.schema_stage import Stage, unknown_ids

DOCUMENT = """query($id: ID!) {
  training(id: $id) {
    id status stage progress steps isStyle createMasks triggerWord gender instancePrompt classPrompt falRequestId
    creditsSpent metadata simulated createdAt startedAt completedAt
    model { id name triggerWord status modelUrl configUrl training { id } createdAt }
    baseModel { id trainer }
    error { code message retryable }
    photos { id filename }
    latestProgress { seq status stage percent message at training { id } }
  }
}"""
NOON = "2026-01-31T12:00:00.000Z"


async def test_all_fields_of_a_new_one(stage: Stage) -> None:
    """A training that was just accepted, field by field."""
    row = await stage.training(triggerWord="ANNA", loraRank=8, learningRate=0.001, batchSize=1, gender="WOMAN")
    photos = await TrainingPhoto.filter(training_id=row.id).order_by("position")
    id = global_id("Training", row.id)
    model = {
        "id": global_id("LoraModel", row.model_id), "name": "My Portrait 2025", "triggerWord": "ANNA",
        "status": "PENDING", "modelUrl": None, "configUrl": None, "training": {"id": id}, "createdAt": NOON,
    }  # fmt: skip
    metadata = {
        "requested": {"loraRank": 8, "learningRate": 0.001, "batchSize": 1},
        "archiveSha256": None,
        "trainer": "fal-ai/flux-lora-fast-training",
    }
    progress = {
        "seq": 1, "status": "PENDING", "stage": None, "percent": 0.0, "message": "Training accepted", "at": NOON,
        "training": {"id": id},
    }  # fmt: skip
    expected = {
        "id": id, "status": "PENDING", "stage": None, "progress": 0.0, "steps": 1000, "isStyle": False,
        "createMasks": True, "triggerWord": "ANNA", "gender": "WOMAN", "instancePrompt": "photo of ANNA woman",
        "classPrompt": "photo of a woman", "falRequestId": None, "creditsSpent": 20, "metadata": metadata,
        "simulated": True, "createdAt": NOON, "startedAt": None, "completedAt": None, "model": model,
        "baseModel": {
            "id": global_id("BaseModel", "flux-lora-fast-training"), "trainer": "fal-ai/flux-lora-fast-training"
        },
        "error": None,
        "photos": [{"id": global_id("Photo", photo.photo_id), "filename": "me.jpg"} for photo in photos],
        "latestProgress": progress,
    }  # fmt: skip
    assert {"training": expected} == await stage.ask(DOCUMENT, id=id)


async def test_a_finished_one(stage: Stage) -> None:
    """The model's files have addresses of our store, and the numbers are complete."""
    model = await stage.ready_model()
    training = (await stage.ask("{ trainings { nodes { id } } }"))["trainings"]["nodes"][0]
    shown = (await stage.ask(DOCUMENT, id=training["id"]))["training"]
    urls = ("https://assets.example/weights/a.safetensors", "https://assets.example/weights/a.json")
    assert urls == (shown["model"]["modelUrl"], shown["model"]["configUrl"])
    assert ("COMPLETED", "FINALIZING", 100.0, NOON) == (
        shown["status"], shown["stage"], shown["progress"], shown["completedAt"],
    )  # fmt: skip
    assert (global_id("LoraModel", model.id), "COMPLETED") == (shown["model"]["id"], shown["model"]["status"])


async def test_a_failed_one(stage: Stage) -> None:
    """The reason is there, and the credits are back."""
    row = await stage.training()
    await stage.trainings.fail(row.id, ProviderUnavailable(reason="it is night."))
    shown = (await stage.ask(DOCUMENT, id=global_id("Training", row.id)))["training"]
    message = "The image provider cannot be reached: it is night."
    error = {"code": "PROVIDER_UNAVAILABLE", "message": message, "retryable": True}
    assert (error, 0, "FAILED") == (shown["error"], shown["creditsSpent"], shown["status"])


async def test_the_providers_request_id(stage: Stage) -> None:
    """It is that of the newest accepted call."""
    row = await stage.training()
    for attempt, request_id in enumerate(["first", "second", None]):
        await Submission.create(
            job_id=row.id, attempt=attempt, endpoint="e", model="m", needle="n", arguments={}, request_id=request_id,
            created_at=stage.clock.now(),
        )  # fmt: skip
    shown = await stage.ask("query($id: ID!) { training(id: $id) { falRequestId } }", id=global_id("Training", row.id))
    assert {"training": {"falRequestId": "second"}} == shown


async def test_the_newest_progress(stage: Stage) -> None:
    """It is the event with the highest number."""
    row = await stage.training()
    stage.clock.time += timedelta(seconds=90)
    await stage.trainings.progress(row.id, stage=TrainingStage.PACKAGING, message="Packaging", fraction=0.5)
    shown = (await stage.ask(DOCUMENT, id=global_id("Training", row.id)))["training"]["latestProgress"]
    assert (2, "PACKAGING", 40.0, "2026-01-31T12:01:30.000Z") == (
        shown["seq"], shown["stage"], shown["percent"], shown["at"],
    )  # fmt: skip


@pytest.mark.parametrize("number", range(9))
async def test_unknown_ids(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all null."""
    theirs = await stage.training(stage.stranger)
    assert {"training": None} == await stage.ask(DOCUMENT, id=unknown_ids("Training", theirs.id)[number])


async def test_rows_of_others_stay_untouched(stage: Stage) -> None:
    """A training's model and photos are its owner's."""
    row = await stage.training()
    await stage.training(stage.stranger)
    assert stage.me.id == (await LoraModel.get(id=row.model_id)).owner_id
    photos = await TrainingPhoto.filter(training_id=row.id).values_list("photo_id", flat=True)
    assert {stage.me.id} == {photo.owner_id for photo in await Photo.filter(id__in=photos)}
