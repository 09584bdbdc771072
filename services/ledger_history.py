"""The ledger as its owner sees it: the postings, and what each changed."""

from collections.abc import Sequence
from uuid import UUID

from tortoise.functions import Sum

from models.generation import Generation
from models.ledger import AccountKind, LedgerEntry, LedgerPosting
from models.training import Training
from services.paging import Page, page

SPENDABLE = [AccountKind.ALLOWANCE, AccountKind.BALANCE]


async def browse(owner: UUID, *, first: int | None, after: str | None) -> Page[LedgerPosting]:
    """A user's postings, newest first. Raises `InvalidInput`."""
    return await page(LedgerPosting.filter(owner_id=owner), list_name="ledger", first=first, after=after)


async def get(owner: UUID, id: UUID) -> LedgerPosting | None:
    """One of a user's own postings."""
    return await LedgerPosting.get_or_none(id=id, owner_id=owner)


async def changes(ids: Sequence[UUID]) -> list[int]:
    """By how many credits each posting changed what its owner can spend: allowance and balance together."""
    entries = LedgerEntry.filter(posting_id__in=set(ids), account__kind__in=SPENDABLE)
    sums = await entries.annotate(total=Sum("amount")).group_by("posting_id").values_list("posting_id", "total")
    found = {posting: int(total) for posting, total in sums}
    return [found.get(id, 0) for id in ids]


async def trainings(ids: Sequence[UUID]) -> list[Training | None]:
    """The training with each job id, if it is one."""
    found = {row.id: row for row in await Training.filter(id__in=set(ids))}
    return [found.get(id) for id in ids]


async def generations(ids: Sequence[UUID]) -> list[Generation | None]:
    """The generation with each job id, if it is one and was not deleted."""
    found = {row.id: row for row in await Generation.filter(id__in=set(ids), deleted_at=None)}
    return [found.get(id) for id in ids]
