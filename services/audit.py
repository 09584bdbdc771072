"""Proving the ledger: an owner's chain and sums are worked out anew from the rows, in pages, and nobody waits."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from tortoise.expressions import Subquery
from tortoise.functions import Sum

from models.ledger import AccountKind, LedgerAccount, LedgerChain, LedgerEntry, LedgerPosting
from models.user import User
from services.credits import posting_hash

PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What a check of one owner's ledger found.

    `entries` counts the entries that were checked; `broken_at` is the number (`seq`) of the first posting that is not
    what it was when it was written, or is missing. With a whole chain and wrong account balances it is None.
    """

    balanced: bool
    entries: int
    broken_at: int | None


async def audit(owner: UUID) -> Audit:
    """Check an owner's whole ledger.

    The chain: numbers without a gap, each hash that of its own facts and its predecessor, the entries of each posting
    summing to zero over accounts of the owner, the head naming the last posting. The accounts: each balance the sum of
    its entries, none below zero but ISSUED. Postings made meanwhile are no fault: the chain is read up to the head it
    had at the beginning, and an account with its entries in one statement.
    """
    head = await LedgerChain.get_or_none(owner_id=owner) or LedgerChain(owner_id=owner, seq=0, hash="")
    checked = _Chain()
    while checked.seq < head.seq and checked.broken_at is None:
        first = checked.seq + 1
        page = LedgerPosting.filter(owner_id=owner, seq__gte=first, seq__lte=head.seq).order_by("seq")
        postings = await page.limit(PAGE)
        await checked.follow(owner, postings)
        if not postings:
            checked.broken_at = first
    broken_at = checked.broken_at
    if broken_at is None and checked.hash != head.hash:
        broken_at = head.seq
    if broken_at is None and await _beyond_head(owner):
        broken_at = head.seq + 1
    balanced = broken_at is None and await _balances_hold(owner)
    return Audit(balanced=balanced, entries=checked.entries, broken_at=broken_at)


async def audit_all() -> AsyncIterator[tuple[User, Audit]]:
    """Check every user, one by one."""
    last: UUID | None = None
    while page := await (User.all() if last is None else User.filter(id__gt=last)).order_by("id").limit(PAGE):
        for user in page:
            yield user, await audit(user.id)
        last = page[-1].id


@dataclass(kw_only=True)
class _Chain:
    """How far an owner's chain has been followed."""

    seq: int = 0
    hash: str = ""
    entries: int = 0
    broken_at: int | None = None

    async def follow(self, owner: UUID, postings: Sequence[LedgerPosting]) -> None:
        """Go on over the next postings and stop before the first that does not hold."""
        entries = await _entries(postings)
        for posting in postings:
            own = entries[posting.id]
            if not self._holds(owner, posting, own):
                self.broken_at = min(posting.seq, self.seq + 1)
                return
            self.seq, self.hash, self.entries = posting.seq, posting.hash, self.entries + len(own)

    def _holds(self, owner: UUID, posting: LedgerPosting, entries: Sequence[LedgerEntry]) -> bool:
        if (posting.seq, posting.previous_hash) != (self.seq + 1, self.hash):
            return False
        if sum(entry.amount for entry in entries) or any(entry.account.owner_id != owner for entry in entries):
            return False
        return posting.hash == posting_hash(posting, [(entry.account.key, entry.amount) for entry in entries])


async def _entries(postings: Sequence[LedgerPosting]) -> dict[UUID, list[LedgerEntry]]:
    found: dict[UUID, list[LedgerEntry]] = defaultdict(list)
    for entry in await LedgerEntry.filter(posting_id__in=[row.id for row in postings]).select_related("account"):
        found[entry.posting_id].append(entry)
    return found


async def _beyond_head(owner: UUID) -> bool:
    """Whether a posting lies after the head; the head is read in the same statement, as it may have moved on."""
    seq = Subquery(LedgerChain.filter(owner_id=owner).values("seq"))
    if await LedgerChain.exists(owner_id=owner):
        return await LedgerPosting.filter(owner_id=owner, seq__gt=seq).exists()
    return await LedgerPosting.filter(owner_id=owner).exists()


async def _balances_hold(owner: UUID) -> bool:
    """Whether each balance is the sum of its account's entries, and only ISSUED is below zero."""
    accounts = LedgerAccount.filter(owner_id=owner)
    if await accounts.filter(balance__lt=0).exclude(kind=AccountKind.ISSUED).exists():
        return False
    touched = LedgerEntry.filter(account__owner_id=owner)
    if await accounts.exclude(balance=0).exclude(id__in=Subquery(touched.values("account_id"))).exists():
        return False
    last: UUID | None = None
    while True:
        rest = touched if last is None else touched.filter(account_id__gt=last)
        sums = rest.annotate(total=Sum("amount")).group_by("account_id", "account__balance").order_by("account_id")
        page = await sums.limit(PAGE).values("account_id", "account__balance", "total")
        if any(row["total"] != row["account__balance"] for row in page):
            return False
        if len(page) < PAGE:
            return True
        last = page[-1]["account_id"]
