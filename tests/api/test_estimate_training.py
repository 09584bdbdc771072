"""Query.estimateTraining."""

from typing import Any

import pytest

from schema.types.node import global_id
from tests.api.schema_stage import Stage

DOCUMENT = """query($input: StartTrainingInput!) {
  estimateTraining(input: $input) { credits usd seconds simulated }
}"""
ZIP = {"modelName": "Anna", "imagesDataUrl": "https://files.example/a.zip"}


async def test_the_cost(stage: Stage) -> None:
    """Our credits, the provider's dollars and the time; nothing is started."""
    expected = {"credits": 20, "usd": 1.0, "seconds": 200, "simulated": True}
    assert {"estimateTraining": expected} == await stage.ask(DOCUMENT, input=ZIP | {"quality": "ECONOMY"})
    assert [] == stage.jobs.enqueued


@pytest.mark.parametrize(
    ("change", "message", "path"),
    [
        ({"steps": 0}, "steps must be from 1 to 10000 for FLUX.1 dev, fast training.", ["input", "steps"]),
        (
            {"modelName": " "},
            "modelName must have 1 to 100 characters and no control characters.",
            ["input", "modelName"],
        ),
        ({"baseModelId": "x"}, "There is no base model with this id.", ["input", "baseModelId"]),
    ],
)
async def test_bad_input(stage: Stage, change: dict[str, Any], message: str, path: list[str]) -> None:
    """It is a top-level error with the input's path."""
    assert (message, "BAD_USER_INPUT", path) == await stage.refusal(DOCUMENT, input=ZIP | change)


async def test_another_base_model(stage: Stage) -> None:
    """Prices differ by trainer."""
    input = ZIP | {"steps": 1000, "baseModelId": global_id("BaseModel", "flux-2-trainer")}
    assert 6.4 == (await stage.ask(DOCUMENT, input=input))["estimateTraining"]["usd"]
