"""The viewer's ledger: its postings, and the proof that nothing in it was changed."""

from resolvers.problems import bad_input
from schema.context import Info
from schema.types.ledger import LedgerAudit, LedgerConnection, LedgerPosting
from schema.types.node import read_id
from schema.types.paging import After, First
from services import audit, ledger_history


@bad_input
async def browse(info: Info, first: First = None, after: After = None) -> LedgerConnection:
    """The viewer's postings."""
    page = await ledger_history.browse(info.context.viewer.id, first=first, after=after)
    return LedgerConnection.of(page, LedgerPosting.of)


async def get(info: Info, id: str) -> LedgerPosting | None:
    """One of the viewer's postings."""
    return LedgerPosting.of_maybe(await ledger_history.get(info.context.viewer.id, read_id(id, "LedgerPosting")))


async def prove(info: Info) -> LedgerAudit:
    """Check the viewer's ledger."""
    return LedgerAudit.of(await audit.audit(info.context.viewer.id))
