"""Query.estimateGeneration."""

from typing import Any

import pytest

from tests.api.schema_stage import Stage

DOCUMENT = """query($input: GenerateImageInput!) {
  estimateGeneration(input: $input) { credits usd seconds simulated }
}"""


async def test_the_cost(stage: Stage) -> None:
    """Each image has its price; nothing is started."""
    expected = {"credits": 6, "usd": 0.105, "seconds": 10, "simulated": True}
    assert {"estimateGeneration": expected} == await stage.ask(DOCUMENT, input={"prompt": "a cat", "numImages": 3})
    assert [] == stage.jobs.enqueued


@pytest.mark.parametrize(
    ("input", "message", "path"),
    [
        ({"prompt": ""}, "prompt must have 1 to 2000 characters and no control characters.", ["input", "prompt"]),
        ({"prompt": "a", "numImages": 5}, "numImages must be from 1 to 4.", ["input", "numImages"]),
        (
            {"prompt": "a", "modelId": "x", "loras": [{"modelId": "y"}]},
            "modelId or loras may be given, not both.",
            ["input", "modelId"],
        ),
    ],
)
async def test_bad_input(stage: Stage, input: dict[str, Any], message: str, path: list[str]) -> None:
    """It is a top-level error with the input's path."""
    assert (message, "BAD_USER_INPUT", path) == await stage.refusal(DOCUMENT, input=input)
