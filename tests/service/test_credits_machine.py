"""The ledger against a model of it: whatever is done in whatever order, the rows say what the model says."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from likeness.db import connected
from models.errors import InsufficientCredits
from models.ids import new_id
from models.ledger import AccountKind, LedgerAccount, LedgerEntry
from services.credits import Credits
from tests.fakes import FixedClock
from tests.service.conftest import new_user
from tests.service.ledger import broken_links, slots


@dataclass
class Job:
    """What the model knows of a job."""

    day: int
    allowance: int
    balance: int
    slots: tuple[str, ...] = ("open",)


class Ledger(RuleBasedStateMachine):
    """One user's life; the database is shared by all examples, the user is new in each."""

    runner: ClassVar[asyncio.Runner]
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FixedClock()
        self.daily, self.day, self.balance, self.spent = 30, 0, 0, 0
        self.granted: dict[int, int] = {}
        self.used: dict[int, int] = {}
        self.known: dict[UUID, Job] = {}
        self.owner = self.run(new_user(self.clock)).id

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @property
    def credits(self) -> Credits:
        return Credits(clock=self.clock, daily_credits=self.daily)

    @property
    def limit(self) -> int:
        return max(self.daily, self.granted.get(self.day, 0))

    @rule(amount=st.integers(0, 40))
    def grant(self, amount: int) -> None:
        self.run(self.credits.grant(self.owner, amount, note="gift"))
        self.balance += amount

    @rule(target=jobs, amount=st.integers(0, 60))
    def reserve(self, amount: int) -> Any:
        job, free = new_id(), self.limit - self.used.get(self.day, 0)
        if amount > free + self.balance:
            with pytest.raises(InsufficientCredits) as refused:
                self.run(self.credits.reserve(self.owner, job, amount))
            assert (amount, free + self.balance) == (refused.value.required, refused.value.available)
            assert [] == self.run(slots(job))
            return multiple()
        self.run(self.credits.reserve(self.owner, job, amount))
        entry = Job(day=self.day, allowance=min(amount, free), balance=amount - min(amount, free))
        self.granted[self.day] = self.limit
        self.used[self.day] = self.used.get(self.day, 0) + entry.allowance
        self.balance -= entry.balance
        self.known[job] = entry
        return job

    @rule(job=jobs, amount=st.integers(0, 10**6))
    def reserve_again(self, job: UUID, amount: int) -> None:
        self.run(self.credits.reserve(self.owner, job, amount))

    @rule(job=jobs)
    def commit(self, job: UUID) -> None:
        self.run(self.credits.commit(job))
        entry = self.known[job]
        if entry.slots == ("open",):
            self.spent += entry.allowance + entry.balance
        entry.slots = ("open", "close")

    @rule(job=jobs)
    def refund(self, job: UUID) -> None:
        self.run(self.credits.refund(job))
        entry = self.known[job]
        if entry.slots == ("open",):
            self.balance += entry.balance
            if entry.day == self.day:
                self.used[self.day] -= entry.allowance
            else:
                self.balance += entry.allowance
        entry.slots = ("open", "close")

    @rule()
    def settle_what_never_was(self) -> None:
        self.run(self.credits.commit(new_id()))
        self.run(self.credits.refund(new_id()))

    @rule(days=st.integers(1, 4))
    def next_day(self, days: int) -> None:
        self.clock.time += timedelta(days=days)
        self.day += days

    @rule(daily=st.integers(0, 60))
    def change_the_daily_credits(self, daily: int) -> None:
        self.daily = daily

    @invariant()
    def quota_is_that_of_the_model(self) -> None:
        quota = self.run(self.credits.quota(self.owner))
        used = self.used.get(self.day, 0)
        week = sum(self.used.get(day, 0) for day in range(self.day - 6, self.day + 1))
        assert (self.limit, used, self.limit - used, week, self.balance) == (
            quota.daily_limit, quota.daily_used, quota.remaining, quota.weekly_used, quota.current_balance,
        )  # fmt: skip

    @invariant()
    def the_rows_are_sound(self) -> None:
        accounts, entries = self.run(self._rows())
        assert [] == [account.key for account in accounts if account.balance < 0 and account.kind != AccountKind.ISSUED]
        assert 0 == sum(account.balance for account in accounts) == sum(entry.amount for entry in entries)
        sums = {account.kind: account.balance for account in accounts}
        assert self.spent == sums.get(AccountKind.SPENT, 0)

    @invariant()
    def every_job_is_open_or_settled_once(self) -> None:
        for job, entry in list(self.known.items())[-3:]:
            assert list(entry.slots) == self.run(slots(job))

    def teardown(self) -> None:
        if self.known:
            assert [] == self.run(broken_links(self.owner))

    async def _rows(self) -> tuple[list[LedgerAccount], list[LedgerEntry]]:
        accounts = await LedgerAccount.filter(owner_id=self.owner)
        entries = await LedgerEntry.filter(account_id__in=[account.id for account in accounts]) if accounts else []
        return accounts, entries


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 30), ("postgres", 8)])
def test_the_ledger_follows_its_model(request: pytest.FixtureRequest, *, kind: str, examples: int) -> None:
    """Grants, reserves, settlements, midnights and new settings in any order; the failing order is printed."""
    url = request.getfixturevalue(f"{kind}_database_url")
    few = settings(
        max_examples=examples, stateful_step_count=20, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    with asyncio.Runner() as runner:
        database = connected(url)
        runner.run(database.__aenter__())
        try:
            run_state_machine_as_test(type("LedgerOnThis", (Ledger,), {"runner": runner}), settings=few)
        finally:
            runner.run(database.__aexit__(None, None, None))
