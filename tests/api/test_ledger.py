"""Query.ledger."""

from typing import Any

import pytest

from models.errors import ResultUnusable
from models.status import TrainingStage
from schema.types.node import global_id
from tests.api.schema_stage import Stage, unknown_ids

DOCUMENT = """query($first: Int, $after: String) { ledger(first: $first, after: $after) {
  totalCount pageInfo { hasNextPage hasPreviousPage endCursor } edges { cursor node { id } }
  nodes { id seq kind amount jobId training { id } generation { id } note at hash }
} }"""
NODE = "query($id: ID!) { node(id: $id) { __typename id ... on LedgerPosting { seq amount } } }"


async def ledger(stage: Stage, **variables: Any) -> dict[str, Any]:
    """A page of the viewer's ledger."""
    return (await stage.ask(DOCUMENT, **variables))["ledger"]


async def filled(stage: Stage) -> dict[str, str]:
    """Seven postings; the ids of a training that was paid for, one that was refunded, and a generation."""
    await stage.credits.grant(stage.me.id, 7, note="welcome")
    trained, broken = await stage.training(), await stage.training()
    generation = await stage.generation()
    await stage.trainings.progress(trained.id, stage=TrainingStage.TRAINING, message="Training")
    await stage.trainings.complete(trained.id, model={})
    await stage.trainings.fail(broken.id, ResultUnusable(reason="broken."))
    return {
        "trained": global_id("Training", trained.id),
        "broken": global_id("Training", broken.id),
        "drawn": global_id("Generation", generation.id),
    }


async def test_what_each_posting_says(stage: Stage) -> None:
    """Newest first; the amounts add up to what can be spent; each leads to its job."""
    ids = await filled(stage)
    shown = await ledger(stage)
    facts = [(row["seq"], row["kind"], row["amount"], row["jobId"], row["note"]) for row in shown["nodes"]]
    expected = [
        (7, "REFUND", 20, ids["broken"], ""),
        (6, "COMMIT", 0, ids["trained"], ""),
        (5, "RESERVE", -2, ids["drawn"], ""),
        (4, "RESERVE", -20, ids["broken"], ""),
        (3, "RESERVE", -20, ids["trained"], ""),
        (2, "ALLOWANCE", 60, None, ""),
        (1, "GRANT", 7, None, "welcome"),
    ]
    assert expected == facts
    quota = await stage.credits.quota(stage.me.id)
    assert quota.remaining + quota.current_balance == sum(row["amount"] for row in shown["nodes"])
    jobs = [(row["training"] or row["generation"] or {}).get("id") for row in shown["nodes"]]
    assert [fact[3] for fact in facts] == jobs
    assert [7, 64, 7] == [shown["totalCount"], len(shown["nodes"][0]["hash"]), len({r["hash"] for r in shown["nodes"]})]
    assert {"2026-01-31T12:00:00.000Z"} == {row["at"] for row in shown["nodes"]}


async def test_pages(stage: Stage) -> None:
    """Following the cursors gives every posting once."""
    await filled(stage)
    everything, seen, after = (await ledger(stage))["nodes"], [], None
    for size in (3, 3, 3):
        page = await ledger(stage, first=size, after=after)
        seen += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        assert [edge["node"]["id"] for edge in page["edges"]] == [node["id"] for node in page["nodes"]]
    assert everything == seen
    assert (False, True) == (page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"])


@pytest.mark.parametrize("first", [-1, 0, 101])
async def test_bounds_of_first(stage: Stage, first: int) -> None:
    """`first` is from 1 to 100, as in every list."""
    expected = ("first must be from 1 to 100.", "BAD_USER_INPUT", ["first"])
    assert expected == await stage.refusal(DOCUMENT, first=first)


async def test_the_cursor_of_another_list(stage: Stage) -> None:
    """A cursor belongs to its list."""
    await stage.training()
    cursor = (await stage.ask("{ trainings { pageInfo { endCursor } } }"))["trainings"]["pageInfo"]["endCursor"]
    expected = ("after is not a cursor of this list.", "BAD_USER_INPUT", ["after"])
    assert [expected] * 2 == [await stage.refusal(DOCUMENT, after=after) for after in (cursor, "x")]


async def test_strangers_see_nothing(stage: Stage) -> None:
    """The ledger is the viewer's own, as a list and by id."""
    await stage.training(stage.stranger)
    assert (0, []) == ((await ledger(stage))["totalCount"], (await ledger(stage))["nodes"])
    theirs = (await stage.ask("{ ledger { nodes { id } } }", viewer=stage.stranger))["ledger"]["nodes"]
    assert [{"node": None}] * 2 == [await stage.ask(NODE, id=node["id"]) for node in theirs]


async def test_by_its_id(stage: Stage) -> None:
    """A posting is a node; what is malformed or unknown is null."""
    await stage.training()
    newest = (await ledger(stage))["nodes"][0]
    expected = {"__typename": "LedgerPosting", "id": newest["id"], "seq": 2, "amount": -20}
    assert {"node": expected} == await stage.ask(NODE, id=newest["id"])
    unknown = unknown_ids("LedgerPosting", stage.me.id)
    assert [{"node": None}] * len(unknown) == [await stage.ask(NODE, id=id) for id in unknown]


async def test_on_each_database(stage_on_each: Stage) -> None:
    """Sums are whole numbers on both."""
    await filled(stage_on_each)
    assert [20, 0, -2, -20, -20, 60, 7] == [row["amount"] for row in (await ledger(stage_on_each))["nodes"]]


async def test_more_than_an_int_holds(stage: Stage) -> None:
    """DAILY_CREDITS may be larger than 32 bits; then the largest Int is shown, and everything else still is."""
    stage.daily_credits = 10**12
    await stage.training()
    assert [-20, 2**31 - 1] == [row["amount"] for row in (await ledger(stage))["nodes"]]
    quota = (await stage.ask("{ quota { dailyLimit dailyUsed remaining } }"))["quota"]
    assert {"dailyLimit": 2**31 - 1, "dailyUsed": 20, "remaining": 2**31 - 1} == quota
