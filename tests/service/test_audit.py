"""The audit: whatever is changed behind the ledger's back is found, and nothing else is."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner
from tortoise.expressions import F

from likeness.cli.admin import credits as command
from likeness.db import connected
from models.ids import new_id
from models.ledger import AccountKind, LedgerAccount, LedgerChain, LedgerEntry, LedgerPosting, PostingKind
from models.user import User
from services import audit as module
from services.audit import Audit, audit, audit_all
from services.credits import Credits, posting_hash
from tests.fakes import FixedClock
from tests.service import rows
from tests.service.conftest import new_user

PARTS = 8  # GRANT, ALLOWANCE, then three jobs, two of them settled


@pytest.fixture
async def filled(owner: User, credits: Credits) -> User:
    """An owner with eight postings of all kinds."""
    await credits.grant(owner.id, 10, note="welcome")
    jobs = [new_id() for _ in range(3)]
    for job in jobs:
        await credits.reserve(owner.id, job, 11)
    await credits.commit(jobs[0])
    await credits.refund(jobs[1])
    await credits.grant(owner.id, 1)
    assert PARTS == await LedgerPosting.all().count()
    return owner


async def posting(owner: UUID, seq: int) -> LedgerPosting:
    """One of an owner's postings."""
    return await LedgerPosting.get(owner_id=owner, seq=seq)


async def entry(owner: UUID, seq: int) -> LedgerEntry:
    """The first entry of one of an owner's postings."""
    found = await LedgerEntry.filter(posting_id=(await posting(owner, seq)).id).first()
    assert found is not None
    return found


async def columns(owner: UUID, seq: int, /, **values: object) -> None:
    """Change columns of a posting."""
    assert 1 == await LedgerPosting.filter(owner_id=owner, seq=seq).update(**values)


async def raise_an_entry(owner: UUID) -> None:
    """The posting does not sum to zero any more."""
    await LedgerEntry.filter(id=(await entry(owner, 4)).id).update(amount=F("amount") + 1)


async def double_a_posting(owner: UUID) -> None:
    """It still sums to zero."""
    await LedgerEntry.filter(posting_id=(await posting(owner, 4)).id).update(amount=F("amount") * 2)


async def remove_a_posting(owner: UUID, seq: int) -> None:
    """With its entries."""
    row = await posting(owner, seq)
    await LedgerEntry.filter(posting_id=row.id).delete()
    await row.delete()


async def remove_an_entry(owner: UUID) -> None:
    """One side of a posting goes."""
    await (await entry(owner, 5)).delete()


async def move_an_entry(owner: UUID) -> None:
    """To another account of the same owner."""
    row = await entry(owner, 3)
    other = await LedgerAccount.filter(owner_id=owner).exclude(id=row.account_id).order_by("-key").first()
    assert other is not None
    await LedgerEntry.filter(id=row.id).update(account_id=other.id)


async def pay_into_a_strangers_account(owner: UUID) -> None:
    """A posting that sums to zero and whose hash is right, over an account of somebody else."""
    stranger, row = await rows.user(), await entry(owner, 8)
    account = await rows.account(stranger.id)
    await LedgerEntry.filter(id=row.id).update(account_id=account.id)
    last = await posting(owner, 8)
    entries = await LedgerEntry.filter(posting_id=last.id).select_related("account")
    right = posting_hash(last, [(one.account.key, one.amount) for one in entries])
    await columns(owner, 8, hash=right)
    await LedgerChain.filter(owner_id=owner).update(hash=right)


async def write_without_the_head(owner: UUID) -> None:
    """A posting that the head does not know."""
    await rows.posting(owner, seq=PARTS + 1, previous_hash=(await posting(owner, PARTS)).hash)


async def renumber(owner: UUID) -> None:
    """A gap in the numbers."""
    await columns(owner, PARTS, seq=PARTS + 1)


async def change_balance(owner: UUID) -> None:
    """An account holds more than its entries say."""
    await LedgerAccount.filter(owner_id=owner, kind=AccountKind.BALANCE).update(balance=F("balance") + 1)


async def make_an_account(owner: UUID) -> None:
    """An account with credits that no entry gave."""
    await rows.account(owner, kind=AccountKind.BALANCE, balance=5)


CHANGES: dict[str, tuple[Callable[[UUID], Awaitable[object]], int | None]] = {
    "an entry is raised": (raise_an_entry, 4),
    "both sides are doubled": (double_a_posting, 4),
    "an entry is removed": (remove_an_entry, 5),
    "an entry is moved": (move_an_entry, 3),
    "a stranger's account": (pay_into_a_strangers_account, 8),
    "a note is changed": (lambda owner: columns(owner, 1, note="thanks"), 1),
    "a kind is changed": (lambda owner: columns(owner, 6, kind=PostingKind.REFUND), 6),
    "a job is changed": (lambda owner: columns(owner, 6, job_id=new_id()), 6),
    "a hash is changed": (lambda owner: columns(owner, 7, hash="00" * 32), 7),
    "a predecessor is changed": (lambda owner: columns(owner, 7, previous_hash="00" * 32), 7),
    "the first is removed": (lambda owner: remove_a_posting(owner, 1), 1),
    "one is removed": (lambda owner: remove_a_posting(owner, 5), 5),
    "the last is removed": (lambda owner: remove_a_posting(owner, PARTS), PARTS),
    "the last is renumbered": (renumber, PARTS),
    "one is added": (write_without_the_head, PARTS + 1),
    "the head's hash": (lambda owner: LedgerChain.filter(owner_id=owner).update(hash="00" * 32), PARTS),
    "the head is set back": (lambda owner: LedgerChain.filter(owner_id=owner).update(seq=3), 3),
    "the head is removed": (lambda owner: LedgerChain.filter(owner_id=owner).delete(), 1),
    "a balance is changed": (change_balance, None),
    "an account is made up": (make_an_account, None),
}


@pytest.mark.parametrize("size", [1, 3, 500])
async def test_an_untouched_ledger(filled: User, monkeypatch: pytest.MonkeyPatch, *, size: int) -> None:
    """Balanced, with every entry counted, whatever the size of a page."""
    monkeypatch.setattr(module, "PAGE", size)
    assert Audit(balanced=True, entries=await LedgerEntry.all().count(), broken_at=None) == await audit(filled.id)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_found(filled: User, *, change: str) -> None:
    """Each is found, at its place."""
    do, broken_at = CHANGES[change]
    await do(filled.id)
    found = await audit(filled.id)
    assert (False, broken_at) == (found.balanced, found.broken_at)


async def test_the_others_do_not_matter(filled: User, clock: FixedClock, credits: Credits) -> None:
    """A broken ledger breaks its owner's audit only."""
    other = await new_user(clock)
    await credits.grant(other.id, 3)
    await raise_an_entry(filled.id)
    assert Audit(balanced=True, entries=2, broken_at=None) == await audit(other.id)


async def test_nothing_at_all(owner: User) -> None:
    """A user without postings is balanced."""
    assert Audit(balanced=True, entries=0, broken_at=None) == await audit(owner.id)


async def test_everybody(filled: User, clock: FixedClock, credits: Credits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each user once, over several pages, the broken one told."""
    monkeypatch.setattr(module, "PAGE", 2)
    others = [await new_user(clock) for _ in range(4)]
    for other in others:
        await credits.grant(other.id, 1)
    await columns(others[2].id, 1, note="changed")
    found = {subject: result.balanced async for subject, result in audit_all()}
    assert {filled.subject: True} | {other.subject: other is not others[2] for other in others} == found


async def test_while_credits_move(owner: User, credits: Credits) -> None:
    """Postings made during an audit are no fault of the ledger."""
    await credits.grant(owner.id, 1000)

    async def work() -> None:
        job = new_id()
        await credits.reserve(owner.id, job, 3)
        await credits.refund(job)

    working = asyncio.gather(*(work() for _ in range(25)))
    results = []
    while not working.done():
        results.append(await audit(owner.id))
    await working
    results.append(await audit(owner.id))
    assert [True] * len(results) == [result.balanced for result in results]
    assert results[0].entries < results[-1].entries


def test_the_command(migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A summary and exit code 0; with a broken ledger a line for its owner, and exit code 1."""
    shutil.copy(migrated_sqlite, tmp_path / "likeness.sqlite")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    async def fill() -> list[str]:
        async with connected(f"sqlite://{tmp_path / 'likeness.sqlite'}"):
            users = [await new_user(FixedClock()) for _ in range(3)]
            for user in users:
                await Credits(clock=FixedClock(), daily_credits=30).grant(user.id, 5)
        return [user.subject for user in users]

    async def change(subjects: list[str]) -> None:
        async with connected(f"sqlite://{tmp_path / 'likeness.sqlite'}"):
            first, second = [await User.get(subject=subject) for subject in subjects]
            await columns(first.id, 1, note="changed")
            await change_balance(second.id)

    subjects = asyncio.run(fill())
    sound = CliRunner().invoke(command, ["audit"])
    assert (0, "3 users, 6 entries, 0 broken.\n") == (sound.exit_code, sound.output)
    asyncio.run(change(subjects[1:]))
    broken = CliRunner().invoke(command, ["audit"])
    expected = [
        f"{subjects[1]}: posting 1 was changed or is missing.",
        f"{subjects[2]}: an account is not what its entries say.",
        "3 users, 4 entries, 2 broken.",
    ]
    assert (1, expected) == (broken.exit_code, broken.output.splitlines())
