"""Generation.provenance: one query leads from a picture to everything it was made of."""

from models.generation import Generation
from models.lora import LoraModel
from models.submission import Submission, SubmissionState
from models.training import Training
from schema.types.node import global_id
from tests.api.schema_stage import Stage

DOCUMENT = """query($id: ID!) { generation(id: $id) { prompt provenance {
  finalPrompt seed model credits creditsSpent contentSha256 storeId originalFalUrl sourcePhotoSha256
  calls { model endpoint requestId parameters error skipped acceptedAt }
  loras { scale model { name weightsSha256 deletedAt modelUrl
    training { archiveSha256 photoHashes falRequestId photos { sha256 } } } }
} } }"""
DELETE_PHOTO = "mutation($input: DeletePhotoInput!) { deletePhoto(input: $input) { deletedId } }"


async def drawn(stage: Stage) -> tuple[Generation, LoraModel]:
    model = await stage.ready_model()
    await LoraModel.filter(id=model.id).update(weights_sha256="cd" * 32)
    await Training.filter(model_id=model.id).update(archive_sha256="ef" * 32)
    training = await Training.get(model_id=model.id)
    facts = {"endpoint": "fal-ai/x", "model": "x", "needle": "n", "created_at": stage.clock.now()}
    await Submission.create(job_id=training.id, request_id="training-1", arguments={}, **facts)
    row = await stage.generation(type="LORA", modelId=global_id("LoraModel", model.id))
    weights = {"path": "https://fal.media/weights", "scale": 1.0}
    arguments = {"prompt": "p", "loras": [weights], "image_url": "https://fal.media/photo.jpg"}
    call = {"request_id": "picture-1", "state": SubmissionState.DONE, "accepted_at": stage.clock.now()}
    await Submission.create(job_id=row.id, arguments=arguments, **facts | call)
    await stage.generations.progress(row.id, message="Drawing", original_fal_url="https://fal.media/a.png")
    await stage.generations.complete(row.id, location="image/a.png", content_sha256="12" * 32, model="x")
    return row, model


async def test_one_query_leads_to_everything(stage: Stage) -> None:
    """Prompt, seed, price, hashes, calls without addresses, models, training, archive, photos."""
    row, _ = await drawn(stage)
    shown = (await stage.ask(DOCUMENT, id=global_id("Generation", row.id)))["generation"]["provenance"]
    [call], [lora] = shown.pop("calls"), shown.pop("loras")
    assert {"prompt": "p", "loras": [{"scale": 1.0}]} == call.pop("parameters")
    assert ("picture-1", "x", "fal-ai/x", None, False) == tuple(
        call[name] for name in ("requestId", "model", "endpoint", "error", "skipped")
    )
    training = lora["model"]["training"]
    assert (1.0, "cd" * 32) == (lora["scale"], lora["model"]["weightsSha256"])
    assert ("ef" * 32, ["ab" * 32] * 2, "training-1") == (
        training["archiveSha256"], training["photoHashes"], training["falRequestId"],
    )  # fmt: skip
    expected = {
        "finalPrompt": row.final_prompt, "seed": row.seed, "model": "x", "credits": 2, "creditsSpent": 2,
        "contentSha256": "12" * 32, "storeId": "image/a.png", "originalFalUrl": "https://fal.media/a.png",
        "sourcePhotoSha256": None,
    }  # fmt: skip
    assert expected == shown


async def test_what_was_deleted_leaves_its_hash(stage: Stage) -> None:
    """Photos and model are gone; what the picture was made of can still be told."""
    row, model = await drawn(stage)
    id = global_id("Generation", row.id)
    before = (await stage.ask("{ photos { nodes { id } } }"))["photos"]["nodes"]
    for photo in before:
        await stage.ask(DELETE_PHOTO, input={"id": photo["id"]})
    delete_model = "mutation($input: DeleteModelInput!) { deleteModel(input: $input) { deletedId } }"
    await stage.ask(delete_model, input={"id": global_id("LoraModel", model.id)})
    [lora] = (await stage.ask(DOCUMENT, id=id))["generation"]["provenance"]["loras"]
    assert (True, None) == (lora["model"]["deletedAt"] is not None, lora["model"]["modelUrl"])
    assert ([], ["ab" * 32] * 2) == (lora["model"]["training"]["photos"], lora["model"]["training"]["photoHashes"])
