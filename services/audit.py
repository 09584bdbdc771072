"""Proving the ledger: an owner's chain and sums are worked out anew from the rows, in pages, and nobody waits."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from models.ledger import AccountKind, LedgerPosting
from services import ledger_rows
from services.credits import account_key, posting_hash
from services.ledger_rows import Row, Unreadable

PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What a check of one owner's ledger found.

    `entries` counts the entries that were checked; `broken_at` is the number (`seq`) of the first posting that is not
    what it was when it was written, or is missing. With a whole chain and a wrong account it is None.
    """

    balanced: bool
    entries: int
    broken_at: int | None


async def audit(owner: UUID) -> Audit:
    """Check an owner's whole ledger.

    The chain: numbers without a gap, each hash that of its own facts and its predecessor, the entries of each posting
    summing to zero over accounts of the owner, the head naming the last posting. The accounts: kind and day those of
    the key, `granted` what was posted as ALLOWANCE, each balance the sum of its entries, none below zero but ISSUED.
    What cannot be read is broken. Postings made meanwhile are no fault: the chain is read up to the head it had at the
    beginning, and an account with its entries in one statement.
    """
    return await _audit(str(owner))


async def audit_all() -> AsyncIterator[tuple[str, Audit]]:
    """Check every user, one by one, and give the subject of each; it is empty for one that cannot be read."""
    async for user in _each(ledger_rows.users):
        if user is None:
            yield "", Audit(balanced=False, entries=0, broken_at=None)
        else:
            yield str(user["subject"]), await _audit(str(user["id"]))


async def _audit(owner: str) -> Audit:
    chain = _Chain(owner=owner)
    broken_at = await chain.broken_at()
    balanced = broken_at is None and await _accounts_hold(owner)
    return Audit(balanced=balanced, entries=chain.entries, broken_at=broken_at)


@dataclass(kw_only=True)
class _Chain:
    """How far an owner's chain has been followed."""

    owner: str
    seq: int = 0
    hash: str = ""
    entries: int = 0

    async def broken_at(self) -> int | None:
        """Follow the chain to its head: the number of the first posting that does not hold, None when all do."""
        try:
            head = await ledger_rows.head(self.owner) or {"seq": 0, "hash": ""}
        except Unreadable:
            return 1
        if not isinstance(head["seq"], int) or head["seq"] < 0:
            return 1
        limit = PAGE
        while self.seq < head["seq"]:
            try:
                whole = await self._follow(head["seq"], limit=limit)
            except Unreadable:
                if limit == 1:
                    return self.seq + 1
                limit = 1
            else:
                if not whole:
                    return self.seq + 1
        if self.hash != head["hash"]:
            return self.seq
        return await self._outside()

    async def _follow(self, last: int, *, limit: int) -> bool:
        """Go on over the next postings, at most `limit`; whether all of them hold and there are any."""
        postings = await ledger_rows.postings(self.owner, self.seq + 1, last, limit=limit)
        entries = await ledger_rows.entries(self.owner, self.seq + 1, self.seq + limit)
        for posting in postings:
            own = entries[posting["seq"]]
            if not self._holds(posting, own):
                return False
            self.seq, self.hash, self.entries = posting["seq"], posting["hash"], self.entries + len(own)
        return bool(postings)

    def _holds(self, posting: Row, entries: Sequence[Row]) -> bool:
        if (posting["seq"], posting["previous_hash"]) != (self.seq + 1, self.hash):
            return False
        if any(str(entry["owner_id"]) != self.owner for entry in entries):
            return False
        try:
            facts = LedgerPosting.construct(**posting | {"at": datetime.fromisoformat(str(posting["at"]))})
            moves = [(entry["key"], entry["amount"]) for entry in entries]
            return not sum(amount for _, amount in moves) and posting["hash"] == posting_hash(facts, moves)
        except (TypeError, ValueError):
            return False

    async def _outside(self) -> int | None:
        if (posting := await ledger_rows.outside(self.owner)) is None:
            return None
        return posting["seq"] if isinstance(posting["seq"], int) else self.seq + 1


async def _accounts_hold(owner: str) -> bool:
    """Whether every account is what its key and its entries say."""
    async for account in _each(partial(ledger_rows.accounts, owner)):
        if account is None or not _holds(owner, account):
            return False
    return True


async def _each(read: Callable[[int, int], Awaitable[list[Row]]]) -> AsyncIterator[Row | None]:
    """Every row of a list that is read with limit and offset; None in place of one that cannot be read."""
    limit, offset = PAGE, 0
    while True:
        page: Sequence[Row | None]
        try:
            page = await read(limit, offset)
        except Unreadable:
            if limit > 1:
                limit = 1
                continue
            page = [None]
        for row in page:
            yield row
        if not page:
            return
        offset += len(page)


def _holds(owner: str, account: Row) -> bool:
    kind, balance = account["kind"], account["balance"]
    if kind not in set(AccountKind) or account["key"] != account_key(owner, kind, account["day"]):
        return False
    granted = account["allowed"] if kind == AccountKind.ALLOWANCE else 0
    if (balance, account["granted"], account["strays"]) != (account["total"], granted, 0):
        return False
    return kind == AccountKind.ISSUED or bool(balance >= 0)
