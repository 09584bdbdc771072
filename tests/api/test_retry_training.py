"""Mutation.retryTraining."""

from typing import Any

from models.errors import ResultUnusable
from models.training import Training
from schema.types.node import global_id
from tests.api.schema_stage import Stage

DOCUMENT = """mutation($input: RetryTrainingInput!) {
  retryTraining(input: $input) {
    training { id status steps creditsSpent photos { id } model { id name status } latestProgress { seq } }
    userErrors { __typename code message path ... on InsufficientCreditsError { required available } }
  }
}"""
OLD = "query($id: ID!) { training(id: $id) { status steps photos { id } model { id name status } } }"


async def failed(stage: Stage) -> Training:
    """A training that has failed."""
    row = await stage.training()
    await stage.trainings.fail(row.id, ResultUnusable(reason="it names no weights file."))
    return row


async def retry(stage: Stage, row: Training) -> dict[str, Any]:
    """The payload."""
    return (await stage.ask(DOCUMENT, input={"id": global_id("Training", row.id)}))["retryTraining"]


async def test_a_new_attempt(stage: Stage) -> None:
    """A new training of a new model with the same photos, paid for; asking again gives the same one."""
    row = await failed(stage)
    first, second = [await retry(stage, row) for _ in range(2)]
    assert first == second
    new, old = first["training"], (await stage.ask(OLD, id=global_id("Training", row.id)))["training"]
    assert ("PENDING", "PENDING", 20, 1) == (
        new["status"], new["model"]["status"], new["creditsSpent"], new["latestProgress"]["seq"]
    )  # fmt: skip
    assert (old["steps"], old["photos"], old["model"]["name"]) == (new["steps"], new["photos"], new["model"]["name"])
    assert ("FAILED", "FAILED") == (old["status"], old["model"]["status"])
    assert old["model"]["id"] != new["model"]["id"]
    assert 2 == await Training.all().count()


async def test_what_has_not_failed(stage: Stage) -> None:
    """CONFLICT, on the id."""
    error = {
        "__typename": "InvalidInputError", "code": "CONFLICT", "path": ["input", "id"],
        "message": "Only a FAILED or CANCELLED training can be tried again; this one is PENDING.",
    }  # fmt: skip
    assert {"training": None, "userErrors": [error]} == await retry(stage, await stage.training())


async def test_without_credits(stage: Stage) -> None:
    """INSUFFICIENT_CREDITS with the price and what is there; nothing is started."""
    row = await failed(stage)
    for _ in range(3):
        await stage.training()
    error = {
        "__typename": "InsufficientCreditsError", "code": "INSUFFICIENT_CREDITS", "path": None, "required": 20,
        "available": 0, "message": "This costs 20 credits and 0 are available.",
    }  # fmt: skip
    assert {"training": None, "userErrors": [error]} == await retry(stage, row)
    assert 4 == await Training.all().count()
