"""Mutation.cancelTraining."""

from models.training import Training
from schema.types.node import global_id
from tests.api.schema_stage import Stage

DOCUMENT = """mutation($input: CancelTrainingInput!) {
  cancelTraining(input: $input) { training { id } userErrors { __typename code message path } }
}"""


async def test_it_is_not_offered_yet(stage: Stage) -> None:
    """It says so, and the training goes on."""
    row = await stage.training()
    error = {
        "__typename": "InvalidInputError", "code": "INVALID_INPUT", "path": ["input"],
        "message": "cancelTraining is not offered yet.",
    }  # fmt: skip
    shown = await stage.ask(DOCUMENT, input={"id": global_id("Training", row.id)})
    assert {"cancelTraining": {"training": None, "userErrors": [error]}} == shown
    assert row.seq == (await Training.get(id=row.id)).seq
