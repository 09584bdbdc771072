"""What must hold for the ledger at any time, read from its rows."""

from collections import Counter
from uuid import UUID

from models.ledger import AccountKind, LedgerAccount, LedgerChain, LedgerEntry, LedgerPosting
from services.credits import posting_hash


async def broken_links(owner: UUID) -> list[int]:
    """The numbers of an owner's postings whose hash, predecessor or number is not what the rows say."""
    accounts = {account.id: account.key for account in await LedgerAccount.all()}
    previous, broken, number = "", [], 0
    for number, posting in enumerate(await LedgerPosting.filter(owner_id=owner).order_by("seq"), start=1):
        entries = await LedgerEntry.filter(posting_id=posting.id)
        right = posting_hash(posting, [(accounts[entry.account_id], entry.amount) for entry in entries])
        if (number, previous, right) != (posting.seq, posting.previous_hash, posting.hash):
            broken.append(posting.seq)
        previous = posting.hash
    chain = await LedgerChain.get(owner_id=owner)
    return broken if (number, previous) == (chain.seq, chain.hash) else [*broken, chain.seq]


async def unbalanced_postings() -> list[UUID]:
    """The postings whose entries do not sum to zero."""
    sums: Counter[UUID] = Counter()
    for entry in await LedgerEntry.all():
        sums[entry.posting_id] += entry.amount
    return [posting for posting, total in sums.items() if total]


async def wrong_balances() -> list[str]:
    """The accounts whose running balance is not the sum of their entries, or is below zero and may not be."""
    sums: Counter[UUID] = Counter()
    for entry in await LedgerEntry.all():
        sums[entry.account_id] += entry.amount
    return [
        account.key
        for account in await LedgerAccount.all()
        if account.balance != sums[account.id] or (account.balance < 0 and account.kind is not AccountKind.ISSUED)
    ]


async def slots(job: UUID) -> list[str]:
    """What a job has: nothing, `open`, or `open` and `close`."""
    postings = await LedgerPosting.filter(job_id=job).order_by("seq")
    return [str(posting.slot) for posting in postings]


async def assert_sound(owner: UUID) -> None:
    """Nothing is wrong with the ledger."""
    assert [] == await broken_links(owner)
    assert [] == await unbalanced_postings()
    assert [] == await wrong_balances()
    assert 0 == sum([entry.amount for entry in await LedgerEntry.all()])
