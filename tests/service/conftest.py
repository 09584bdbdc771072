"""A clock, a user and the ledger on a fresh database."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from models.ids import new_id
from models.user import User
from services.credits import Credits
from tests.fake_fal import no_waiting
from tests.fakes import FakeBus, FixedClock
from tests.lost_wire import wire

__all__ = ["wire"]


@pytest.fixture
def no_waiting_in_silence() -> Iterator[None]:
    """Repeats come at once, and what is logged of them is not written out."""
    with no_waiting(), capture_logs():
        yield


@pytest.fixture
def clock() -> FixedClock:
    """Noon of 2026-01-31, UTC."""
    return FixedClock()


@pytest.fixture
def bus() -> FakeBus:
    """A bus that nobody listens to yet."""
    return FakeBus()


@pytest.fixture
def credits(clock: FixedClock) -> Credits:
    """The ledger with 30 credits a day."""
    return Credits(clock=clock, daily_credits=30)


@pytest.fixture
async def owner(database: str, clock: FixedClock) -> User:
    """A user in the database."""
    return await new_user(clock)


async def new_user(clock: FixedClock) -> User:
    """One more user."""
    id = new_id()
    return await User.create(id=id, subject=f"jwt:{id}", created_at=clock.now())
