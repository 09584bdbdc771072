"""Credits: the only place where they move. Reserve, then commit or refund, keyed by job so that twice equals once."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from tortoise.expressions import F

from models.errors import InsufficientCredits
from models.ids import new_id
from models.ledger import AccountKind, LedgerAccount, LedgerChain, LedgerEntry, LedgerPosting, PostingKind
from services.ports import Clock
from services.unit_of_work import transactional

OPEN, CLOSE = "open", "close"
WEEK = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class QuotaView:
    """What a user may spend, in whole credits; `daily_reset` is the next UTC midnight (seed 003)."""

    daily_limit: int
    daily_used: int
    remaining: int
    weekly_used: int
    daily_reset: datetime
    current_balance: int
    timestamp: datetime


@dataclass(frozen=True, kw_only=True)
class Credits:
    """The ledger's rules. Spending takes the day's allowance first, then the balance (design section 5)."""

    clock: Clock
    daily_credits: int

    @transactional
    async def require(self, owner: UUID, amount: int) -> None:
        """Nobody else can spend the owner's credits until the transaction ends.

        Raises `InsufficientCredits` when allowance and balance together do not hold `amount`.
        """
        await _lock_chain(owner)
        await self._holding(owner, amount)

    @transactional
    async def reserve(self, owner: UUID, job: UUID, amount: int) -> None:
        """Set `amount` credits aside for a job; a second call for the same job changes nothing.

        Raises `InsufficientCredits` when allowance and balance together do not hold them.
        """
        await _lock_chain(owner)
        if await LedgerPosting.filter(job_id=job, slot=OPEN).exists():
            return
        allowance, balance = await self._holding(owner, amount)
        from_allowance = min(amount, allowance.balance)
        reserved = await _account(owner, AccountKind.RESERVED)
        moves = {allowance: -from_allowance, balance: from_allowance - amount, reserved: amount}
        await self._post(owner, PostingKind.RESERVE, moves, job=job, slot=OPEN)

    @transactional
    async def commit(self, job: UUID) -> None:
        """Spend what was reserved for a job; harmless when the job was settled before."""
        if (reserve := await _lock_reserve(job)) is None:
            return
        owner = reserve.owner_id
        reserved, spent = await _account(owner, AccountKind.RESERVED), await _account(owner, AccountKind.SPENT)
        entry = await LedgerEntry.get_or_none(posting_id=reserve.id, account_id=reserved.id)
        amount = entry.amount if entry else 0  # a price of 0 is legal and has no entries
        moves = {reserved: -amount, spent: amount}
        await self._post(owner, PostingKind.COMMIT, moves, job=job, slot=CLOSE)

    @transactional
    async def refund(self, job: UUID) -> None:
        """Give back what was reserved for a job, to where it came from, or to the balance when that day is over."""
        if (reserve := await _lock_reserve(job)) is None:
            return
        owner = reserve.owner_id
        today, balance = self.clock.now().date(), await _account(owner, AccountKind.BALANCE)
        moves: dict[LedgerAccount, int] = {}
        for entry in await LedgerEntry.filter(posting_id=reserve.id).select_related("account"):
            account: LedgerAccount = entry.account
            if (account.kind is AccountKind.ALLOWANCE and account.day != today) or account.id == balance.id:
                account = balance
            moves[account] = moves.get(account, 0) - entry.amount
        await self._post(owner, PostingKind.REFUND, moves, job=job, slot=CLOSE)

    @transactional
    async def grant(self, owner: UUID, amount: int, *, note: str = "") -> None:
        """Add credits to a user's balance."""
        await _lock_chain(owner)
        issued, balance = await _account(owner, AccountKind.ISSUED), await _account(owner, AccountKind.BALANCE)
        await self._post(owner, PostingKind.GRANT, {issued: -amount, balance: amount}, note=note)

    async def quota(self, owner: UUID) -> QuotaView:
        """The day's allowance and the balance, computed from the rows without writing any."""
        now = self.clock.now()
        days = await LedgerAccount.filter(owner_id=owner, kind=AccountKind.ALLOWANCE, day__gt=now.date() - WEEK)
        today = next((account for account in days if account.day == now.date()), None)
        used = today.granted - today.balance if today else 0
        limit = max(self.daily_credits, today.granted if today else 0)
        balance = await LedgerAccount.get_or_none(key=account_key(owner, AccountKind.BALANCE))
        return QuotaView(
            daily_limit=limit,
            daily_used=used,
            remaining=max(0, limit - used),
            weekly_used=sum(account.granted - account.balance for account in days),
            daily_reset=datetime.combine(now.date() + timedelta(days=1), time.min, tzinfo=UTC),
            current_balance=balance.balance if balance else 0,
            timestamp=now,
        )

    async def _holding(self, owner: UUID, amount: int) -> tuple[LedgerAccount, LedgerAccount]:
        """Today's allowance and the balance, which hold `amount` together. Raises `InsufficientCredits`."""
        allowance = await self._todays_allowance(owner)
        balance = await _account(owner, AccountKind.BALANCE)
        if allowance.balance + balance.balance < amount:
            raise InsufficientCredits(required=amount, available=allowance.balance + balance.balance)
        return allowance, balance

    async def _todays_allowance(self, owner: UUID) -> LedgerAccount:
        """Today's allowance account, topped up to the setting the first time it is touched."""
        account = await _account(owner, AccountKind.ALLOWANCE, day=self.clock.now().date())
        if (missing := self.daily_credits - account.granted) > 0:
            issued = await _account(owner, AccountKind.ISSUED)
            await LedgerAccount.filter(id=account.id).update(granted=F("granted") + missing)
            await self._post(owner, PostingKind.ALLOWANCE, {issued: -missing, account: missing})
            account.granted += missing
        return account

    async def _post(
        self,
        owner: UUID,
        kind: PostingKind,
        moves: Mapping[LedgerAccount, int],
        *,
        job: UUID | None = None,
        slot: str | None = None,
        note: str = "",
    ) -> None:
        """Append one posting; the caller holds the owner's chain. The database refuses an account below zero."""
        chain = await LedgerChain.get(owner_id=owner)
        seq = chain.seq + 1
        entries = [(account, amount) for account, amount in moves.items() if amount]
        posting = LedgerPosting(
            id=new_id(), owner_id=owner, seq=seq, kind=kind, job_id=job, slot=slot, note=note,
            at=self.clock.now(), previous_hash=chain.hash, hash="",
        )  # fmt: skip
        posting.hash = posting_hash(posting, [(account.key, amount) for account, amount in entries])
        await posting.save(force_create=True)
        for account, amount in entries:
            await LedgerEntry.create(posting_id=posting.id, account_id=account.id, amount=amount)
            await LedgerAccount.filter(id=account.id).update(balance=F("balance") + amount)
            account.balance += amount
        await LedgerChain.filter(owner_id=owner).update(seq=seq, hash=posting.hash)


def posting_hash(posting: LedgerPosting, entries: Sequence[tuple[str, int]]) -> str:
    """The SHA-256 that chains a posting to the one before it."""
    facts = [
        posting.previous_hash, str(posting.owner_id), posting.seq, posting.kind, str(posting.job_id), posting.slot,
        posting.note, posting.at.isoformat(), sorted(entries),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def account_key(owner: UUID | str, kind: str, day: date | str | None = None) -> str:
    """The name of an account, which is part of the hash of what was posted to it."""
    return f"{kind}:{owner}:{day}" if day else f"{kind}:{owner}"


async def _lock_reserve(job: UUID) -> LedgerPosting | None:
    """A job's RESERVE with its owner's chain locked; None when there is none or it was settled already."""
    reserve = await LedgerPosting.get_or_none(job_id=job, slot=OPEN)
    if reserve is not None:
        await _lock_chain(reserve.owner_id)
    return None if await LedgerPosting.filter(job_id=job, slot=CLOSE).exists() else reserve


async def _lock_chain(owner: UUID) -> None:
    """Lock the owner's chain until the transaction ends, so that the owner's postings happen one by one."""
    if not await LedgerChain.filter(owner_id=owner).update(seq=F("seq")):
        await LedgerChain.bulk_create([LedgerChain(owner_id=owner)], ignore_conflicts=True)
        await LedgerChain.filter(owner_id=owner).update(seq=F("seq"))


async def _account(owner: UUID, kind: AccountKind, *, day: date | None = None) -> LedgerAccount:
    account, _ = await LedgerAccount.get_or_create(
        key=account_key(owner, kind, day), defaults={"id": new_id(), "owner_id": owner, "kind": kind, "day": day}
    )
    return account
