"""Query.auditLedger."""

from tortoise import connections

from models.ledger import LedgerAccount, LedgerPosting
from tests.api.schema_stage import Stage

DOCUMENT = "{ auditLedger { balanced entries brokenAt } }"


async def test_nothing_happened(stage: Stage) -> None:
    """A new user is balanced."""
    assert {"auditLedger": {"balanced": True, "entries": 0, "brokenAt": None}} == await stage.ask(DOCUMENT)


async def test_balanced(stage: Stage) -> None:
    """Allowance, reserve and commit have two entries each."""
    await stage.ready_model()
    assert {"auditLedger": {"balanced": True, "entries": 6, "brokenAt": None}} == await stage.ask(DOCUMENT)


async def test_a_changed_posting(stage: Stage) -> None:
    """The number of the first that is not what it was."""
    await stage.ready_model()
    await LedgerPosting.filter(owner_id=stage.me.id, seq=2).update(note="changed")
    assert {"auditLedger": {"balanced": False, "entries": 2, "brokenAt": 2}} == await stage.ask(DOCUMENT)


async def test_a_changed_balance(stage: Stage) -> None:
    """The postings are whole, and an account is not their sum."""
    await stage.ready_model()
    await LedgerAccount.filter(owner_id=stage.me.id, balance=20).update(balance=21)
    assert {"auditLedger": {"balanced": False, "entries": 6, "brokenAt": None}} == await stage.ask(DOCUMENT)


async def test_a_posting_of_no_kind(stage: Stage) -> None:
    """What no enum of ours knows is a broken posting, and no error of the server."""
    await stage.ready_model()
    await connections.get("default").execute_script("UPDATE ledger_postings SET kind = 'HACK' WHERE seq = 2")
    assert {"auditLedger": {"balanced": False, "entries": 2, "brokenAt": 2}} == await stage.ask(DOCUMENT)


async def test_only_the_viewers_own(stage: Stage) -> None:
    """What a stranger's ledger is like is nobody else's business."""
    await stage.training(stage.stranger)
    await LedgerPosting.filter(owner_id=stage.stranger.id).update(note="changed")
    assert {"auditLedger": {"balanced": True, "entries": 0, "brokenAt": None}} == await stage.ask(DOCUMENT)
