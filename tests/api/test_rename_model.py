"""Mutation.renameModel."""

import pytest

from schema.types.node import global_id
from tests.api.schema_stage import Stage, unknown_ids

RENAME = """mutation($input: RenameModelInput!) {
  renameModel(input: $input) { model { name triggerWord } userErrors { __typename code path } }
}"""


async def test_another_name(stage: Stage) -> None:
    """The name changes, the trigger word does not; twice is once."""
    model = await stage.ready_model()
    for _ in range(2):
        payload = await stage.ask(RENAME, input={"id": global_id("LoraModel", model.id), "name": " Анна 2026 "})
        expected = {"model": {"name": "Анна 2026", "triggerWord": model.trigger_word}, "userErrors": []}
        assert expected == payload["renameModel"]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 101, "\x07"])
async def test_what_is_no_name(stage: Stage, name: str) -> None:
    """1 to 100 characters without control characters."""
    model = await stage.ready_model()
    payload = await stage.ask(RENAME, input={"id": global_id("LoraModel", model.id), "name": name})
    error = {"__typename": "InvalidInputError", "code": "INVALID_INPUT", "path": ["input", "name"]}
    assert {"model": None, "userErrors": [error]} == payload["renameModel"]


@pytest.mark.parametrize("number", range(9))
async def test_unknown_models(stage: Stage, number: int) -> None:
    """Malformed, unknown and a stranger's are all NOT_FOUND."""
    theirs = await stage.ready_model(stage.stranger)
    payload = await stage.ask(RENAME, input={"id": unknown_ids("LoraModel", theirs.id)[number], "name": "Me"})
    error = {"__typename": "NotFoundError", "code": "NOT_FOUND", "path": ["input", "id"]}
    assert {"model": None, "userErrors": [error]} == payload["renameModel"]
