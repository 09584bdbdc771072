"""Mutation.retryTraining."""

from models.training import Training
from schema.types.node import global_id
from tests.api.schema_stage import Stage

DOCUMENT = """mutation($input: RetryTrainingInput!) {
  retryTraining(input: $input) { training { id } userErrors { __typename code message path } }
}"""


async def test_it_is_not_offered_yet(stage: Stage) -> None:
    """It says so, and nothing is started."""
    row = await stage.training()
    error = {
        "__typename": "InvalidInputError", "code": "INVALID_INPUT", "path": ["input"],
        "message": "retryTraining is not offered yet.",
    }  # fmt: skip
    shown = await stage.ask(DOCUMENT, input={"id": global_id("Training", row.id)})
    assert {"retryTraining": {"training": None, "userErrors": [error]}} == shown
    assert row.seq == (await Training.get(id=row.id)).seq
