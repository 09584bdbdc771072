"""Mutation.cancelGeneration."""

from models.generation import Generation
from schema.types.node import global_id
from tests.api.schema_stage import Stage

DOCUMENT = """mutation($input: CancelGenerationInput!) {
  cancelGeneration(input: $input) { generation { id } userErrors { __typename code message path } }
}"""


async def test_it_is_not_offered_yet(stage: Stage) -> None:
    """It says so, and the generation goes on."""
    row = await stage.generation()
    error = {
        "__typename": "InvalidInputError", "code": "INVALID_INPUT", "path": ["input"],
        "message": "cancelGeneration is not offered yet.",
    }  # fmt: skip
    shown = await stage.ask(DOCUMENT, input={"id": global_id("Generation", row.id)})
    assert {"cancelGeneration": {"generation": None, "userErrors": [error]}} == shown
    assert row.seq == (await Generation.get(id=row.id)).seq
