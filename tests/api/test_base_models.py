"""Query.baseModels."""

from schema.types.node import global_id
from services.trainers import DEFAULT_TRAINER, TRAINERS
from tests.api.schema_stage import Stage

DOCUMENT = "{ baseModels { id name trainer generator parameters } }"


async def test_every_trainer_is_offered(stage: Stage) -> None:
    """One for each trainer, the default first."""
    shown = (await stage.ask(DOCUMENT))["baseModels"]
    assert [global_id("BaseModel", key) for key in TRAINERS] == [model["id"] for model in shown]
    assert DEFAULT_TRAINER == next(iter(TRAINERS))


async def test_all_fields(stage: Stage) -> None:
    """The default, field by field."""
    expected = {
        "id": global_id("BaseModel", "flux-lora-fast-training"), "name": "FLUX.1 dev, fast training",
        "trainer": "fal-ai/flux-lora-fast-training", "generator": "fal-ai/flux-lora",
        "parameters": [
            "images_data_url", "trigger_word", "steps", "create_masks", "is_style",
            "is_input_format_already_preprocessed",
        ],
    }  # fmt: skip
    assert expected == (await stage.ask(DOCUMENT))["baseModels"][0]
