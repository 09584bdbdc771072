"""The ledger: what may be spent, where it comes from and goes back to, and that the rows prove it."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from tortoise.exceptions import IntegrityError

from models.errors import InsufficientCredits
from models.ids import new_id
from models.ledger import AccountKind, LedgerAccount, LedgerEntry, LedgerPosting, PostingKind
from models.user import User
from services.credits import Credits
from services.unit_of_work import transactional
from tests.fakes import NOON, FixedClock
from tests.service.conftest import new_user
from tests.service.ledger import assert_sound, broken_links, slots, unbalanced_postings

LAST_MOMENT = datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)


async def balances(owner: User) -> dict[str, int]:
    """The balance of each kind of account; allowances of all days together."""
    sums: dict[str, int] = {}
    for account in await LedgerAccount.filter(owner_id=owner.id):
        sums[account.kind] = sums.get(account.kind, 0) + account.balance
    return sums


async def reserved(credits: Credits, owner: User, amount: int) -> UUID:
    """A new job with this reserve."""
    job = new_id()
    await credits.reserve(owner.id, job, amount)
    return job


async def test_a_new_user_can_spend_exactly_the_allowance(owner: User, credits: Credits) -> None:
    """Thirty credits go, and not one more."""
    for _ in range(15):
        await reserved(credits, owner, 2)
    with pytest.raises(InsufficientCredits) as refused:
        await credits.reserve(owner.id, new_id(), 1)
    assert (1, 0) == (refused.value.required, refused.value.available)
    assert (30, 0) == ((await credits.quota(owner.id)).daily_used, (await credits.quota(owner.id)).remaining)
    await assert_sound(owner.id)


async def test_a_refused_reserve_leaves_no_trace(owner: User, credits: Credits) -> None:
    """The refusal says what was there, and rolls back even the day's allowance."""
    with pytest.raises(InsufficientCredits, match=r"This costs 31 credits and 30 are available\."):
        await credits.reserve(owner.id, new_id(), 31)
    assert 0 == await LedgerPosting.all().count()
    assert {} == await balances(owner)


async def test_spending_takes_the_allowance_before_the_balance(owner: User, credits: Credits) -> None:
    """Of 40 credits 30 come from the day and 10 from the balance."""
    await credits.grant(owner.id, 25, note="welcome")
    await reserved(credits, owner, 40)
    assert {"ISSUED": -55, "ALLOWANCE": 0, "BALANCE": 15, "RESERVED": 40} == await balances(owner)
    await assert_sound(owner.id)


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_reserving_again_changes_nothing(owner: User, credits: Credits, *, times: int) -> None:
    """A job is charged once however often it is asked, even when the second amount would not be there."""
    job = new_id()
    for number in range(times):
        await credits.reserve(owner.id, job, 20 + number * 1000)
    assert 20 == (await balances(owner))["RESERVED"]
    assert ["open"] == await slots(job)


async def test_only_the_first_settlement_counts(owner: User, credits: Credits) -> None:
    """Commits and refunds after the first one change nothing, in any order, and settling nothing is harmless."""
    spent, returned = await reserved(credits, owner, 5), await reserved(credits, owner, 7)
    for settle, job in [(credits.commit, spent), (credits.refund, returned), (credits.commit, new_id())]:
        await settle(job)
    after = await balances(owner)
    for job in (spent, returned, new_id()):
        await credits.refund(job)
        await credits.commit(job)
        await credits.reserve(owner.id, job, 1) if job in (spent, returned) else None
    assert {"ISSUED": -30, "ALLOWANCE": 25, "BALANCE": 0, "RESERVED": 0, "SPENT": 5} == after == await balances(owner)
    assert [["open", "close"]] * 2 == [await slots(spent), await slots(returned)]
    await assert_sound(owner.id)


async def test_a_refund_goes_back_to_where_it_came_from(owner: User, credits: Credits) -> None:
    """On the same day the allowance and the balance each get their own part."""
    await credits.grant(owner.id, 20)
    job = await reserved(credits, owner, 45)
    await credits.refund(job)
    assert {"ISSUED": -50, "ALLOWANCE": 30, "BALANCE": 20, "RESERVED": 0} == await balances(owner)


@pytest.mark.parametrize(("granted", "amount", "balance"), [(0, 25, 25), (20, 25, 45), (20, 45, 50)])
async def test_after_midnight_a_refund_goes_to_the_balance(
    owner: User, credits: Credits, clock: FixedClock, *, granted: int, amount: int, balance: int
) -> None:
    """What was reserved in the last microsecond of a UTC day is not lost with that day."""
    clock.time = LAST_MOMENT
    await credits.grant(owner.id, granted)
    job = await reserved(credits, owner, amount)
    clock.time += timedelta(microseconds=1)
    await credits.refund(job)
    quota = await credits.quota(owner.id)
    assert (balance, 0, 30) == (quota.current_balance, quota.daily_used, quota.remaining)
    await assert_sound(owner.id)


async def test_a_commit_after_midnight_spends_what_was_reserved(
    owner: User, credits: Credits, clock: FixedClock
) -> None:
    """Yesterday's reserve does not touch today's allowance."""
    job = await reserved(credits, owner, 30)
    clock.time += timedelta(days=1)
    await credits.commit(job)
    assert 0 == (await credits.quota(owner.id)).daily_used
    assert 30 == (await balances(owner))["SPENT"]


async def test_a_price_of_zero_is_settled_like_any_other(owner: User, credits: Credits) -> None:
    """CREDITS_PER_TRAINING=0 is legal; such jobs have postings without entries."""
    spent, returned = await reserved(credits, owner, 0), await reserved(credits, owner, 0)
    await credits.commit(spent)
    await credits.refund(returned)
    assert [["open", "close"]] * 2 == [await slots(spent), await slots(returned)]
    await assert_sound(owner.id)


async def test_raising_the_daily_credits_tops_up_the_running_day(
    owner: User, credits: Credits, clock: FixedClock
) -> None:
    """The difference is there at once; lowering takes nothing away before midnight."""
    await reserved(credits, owner, 30)
    richer = Credits(clock=clock, daily_credits=50)
    assert 20 == (await richer.quota(owner.id)).remaining
    await reserved(richer, owner, 20)
    with pytest.raises(InsufficientCredits):
        await reserved(richer, owner, 1)
    lowered = await Credits(clock=clock, daily_credits=10).quota(owner.id)
    assert (50, 50, 0) == (lowered.daily_limit, lowered.daily_used, lowered.remaining)
    await assert_sound(owner.id)


async def test_very_large_allowances_work(owner: User, clock: FixedClock) -> None:
    """DAILY_CREDITS of a trillion fits its columns."""
    credits = Credits(clock=clock, daily_credits=10**12)
    await reserved(credits, owner, 10**12)
    assert 10**12 == (await credits.quota(owner.id)).daily_used


async def test_a_grant_cannot_make_a_balance_negative(owner: User, credits: Credits) -> None:
    """Taking more than is there is refused by the database and changes nothing."""
    await credits.grant(owner.id, 5)
    with pytest.raises(IntegrityError):
        await credits.grant(owner.id, -6)
    await credits.grant(owner.id, -5, note="taken back")
    assert 0 == (await credits.quota(owner.id)).current_balance
    await assert_sound(owner.id)


async def test_the_quota_of_a_new_user(owner: User, credits: Credits) -> None:
    """Everything is there before anything was written, and asking writes nothing."""
    quota = await credits.quota(owner.id)
    assert (30, 0, 30, 0, 0) == (
        quota.daily_limit, quota.daily_used, quota.remaining, quota.weekly_used, quota.current_balance,
    )  # fmt: skip
    assert (datetime(2026, 2, 1, tzinfo=UTC), NOON) == (quota.daily_reset, quota.timestamp)
    assert 0 == await LedgerAccount.all().count()


@pytest.mark.parametrize(
    ("now", "reset"),
    [
        (datetime(2026, 1, 31, 0, 0, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)),
        (LAST_MOMENT, datetime(2026, 2, 1, tzinfo=UTC)),
        (datetime(2028, 2, 28, 23, 0, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)),
        (datetime(2026, 12, 31, 12, 0, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
async def test_the_daily_reset_is_the_next_utc_midnight(
    owner: User, credits: Credits, clock: FixedClock, *, now: datetime, reset: datetime
) -> None:
    """Also at the ends of months, years and Februaries."""
    clock.time = now
    assert reset == (await credits.quota(owner.id)).daily_reset


async def test_reserves_count_at_once_and_refunds_lower_the_use(owner: User, credits: Credits) -> None:
    """`dailyUsed` follows the reserve, not the commit."""
    first, second = await reserved(credits, owner, 20), await reserved(credits, owner, 4)
    await credits.commit(first)
    await credits.refund(second)
    quota = await credits.quota(owner.id)
    assert (20, 10, 20) == (quota.daily_used, quota.remaining, quota.weekly_used)


async def test_the_weekly_use_is_that_of_the_last_seven_days(owner: User, credits: Credits, clock: FixedClock) -> None:
    """Today and the six days before it count; the day before those does not."""
    for spend in (1, 2, 4, 8, 16, 3, 5, 7):
        await reserved(credits, owner, spend)
        clock.time += timedelta(days=1)
    clock.time -= timedelta(days=1)
    assert sum((2, 4, 8, 16, 3, 5, 7)) == (await credits.quota(owner.id)).weekly_used


async def test_users_do_not_share_credits(owner: User, credits: Credits, clock: FixedClock) -> None:
    """One user's spending, grants and refunds are nobody else's."""
    other = await new_user(clock)
    await credits.grant(owner.id, 9)
    job = await reserved(credits, owner, 39)
    assert (30, 0) == ((await credits.quota(other.id)).remaining, (await credits.quota(other.id)).current_balance)
    await reserved(credits, other, 30)
    await credits.refund(job)
    assert (0, 30) == ((await credits.quota(other.id)).remaining, (await credits.quota(other.id)).daily_used)
    await assert_sound(owner.id)
    await assert_sound(other.id)


async def test_parallel_reserves_never_overspend(owner: User, credits: Credits) -> None:
    """Of fifty at once exactly those fit that the allowance holds, and the first day is granted once."""
    jobs = [new_id() for _ in range(50)]
    results = await asyncio.gather(*(credits.reserve(owner.id, job, 2) for job in jobs), return_exceptions=True)
    refused = [result for result in results if result is not None]
    assert 35 == len(refused)
    assert {InsufficientCredits} == {type(result) for result in refused}
    assert {"ISSUED": -30, "ALLOWANCE": 0, "BALANCE": 0, "RESERVED": 30} == await balances(owner)
    await assert_sound(owner.id)


async def test_parallel_calls_for_one_job_count_once(owner: User, credits: Credits) -> None:
    """Ten reserves of one job are one, and commit and refund at once settle it once."""
    job = new_id()
    await asyncio.gather(*(credits.reserve(owner.id, job, 6) for _ in range(10)))
    assert ["open"] == await slots(job)
    await asyncio.gather(*(settle(job) for settle in [credits.commit, credits.refund] * 5))
    assert ["open", "close"] == await slots(job)
    await assert_sound(owner.id)


async def test_parallel_users_do_not_wait_for_each_other_in_a_circle(
    database: str, credits: Credits, clock: FixedClock
) -> None:
    """Ten users at once, each reserving and settling: no deadlock, and every ledger is sound."""
    users = [await new_user(clock) for _ in range(10)]

    async def life(user: User) -> None:
        first, second = await reserved(credits, user, 2), await reserved(credits, user, 2)
        await asyncio.gather(credits.commit(first), credits.refund(second), credits.grant(user.id, 1))

    async with asyncio.timeout(60):
        await asyncio.gather(*(life(user) for user in users))
    for user in users:
        assert 2 == (await credits.quota(user.id)).daily_used
        await assert_sound(user.id)


async def test_a_reserve_rolls_back_with_what_it_pays_for(owner: User, credits: Credits) -> None:
    """When the job cannot be written, its credits are free again."""

    @transactional
    async def accept() -> None:
        await credits.reserve(owner.id, new_id(), 20)
        raise OSError("the job's row was refused")

    with pytest.raises(OSError, match="refused"):
        await accept()
    assert 30 == (await credits.quota(owner.id)).remaining
    assert 0 == await LedgerPosting.all().count()


async def test_every_posting_says_why_credits_moved(owner: User, credits: Credits, clock: FixedClock) -> None:
    """Kinds, jobs, slots, notes and times are in the rows, numbered from 1."""
    await credits.grant(owner.id, 3, note="welcome")
    job = await reserved(credits, owner, 31)
    clock.time += timedelta(seconds=1)
    await credits.refund(job)
    rows = await LedgerPosting.filter(owner_id=owner.id).order_by("seq")
    later = NOON + timedelta(seconds=1)
    assert [
        (1, PostingKind.GRANT, None, None, "welcome", NOON),
        (2, PostingKind.ALLOWANCE, None, None, "", NOON),
        (3, PostingKind.RESERVE, job, "open", "", NOON),
        (4, PostingKind.REFUND, job, "close", "", later),
    ] == [(row.seq, row.kind, row.job_id, row.slot, row.note, row.at) for row in rows]


@pytest.mark.parametrize("change", ["amount", "note", "at", "kind", "job", "deleted", "cut", "account"])
async def test_a_changed_row_is_found(owner: User, credits: Credits, *, change: str) -> None:
    """Recomputing the chain from the rows names the posting that somebody touched."""
    await credits.grant(owner.id, 10, note="welcome")
    job = await reserved(credits, owner, 35)
    await credits.commit(job)
    assert [] == await broken_links(owner.id)
    reserve = await LedgerPosting.get(job_id=job, slot="open")
    row = LedgerPosting.filter(id=reserve.id)
    entries = LedgerEntry.filter(posting_id=reserve.id)
    if change == "amount":
        await entries.filter(amount=-30).update(amount=-29)
        await entries.filter(amount=-5).update(amount=-6)
        assert [] == await unbalanced_postings()
    elif change == "account":
        issued = await LedgerAccount.get(owner_id=owner.id, kind=AccountKind.ISSUED)
        await entries.filter(amount=-5).update(account_id=issued.id)
    elif change == "deleted":
        await entries.delete()
        await row.delete()
    elif change == "cut":
        last = await LedgerPosting.get(job_id=job, slot="close")
        await LedgerEntry.filter(posting_id=last.id).delete()
        await last.delete()
    else:
        columns = {"note": "x", "at": reserve.at + timedelta(microseconds=1), "kind": "GRANT", "job": new_id()}
        await row.update(**{"job_id" if change == "job" else change: columns[change]})
    where = {"deleted": 4, "cut": 4}.get(change, 3)
    assert where == (await broken_links(owner.id))[0]
