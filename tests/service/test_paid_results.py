"""What the provider has delivered is paid: an outage at the end is waited for, and does not throw it away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tenacity
from structlog.testing import capture_logs

from models.errors import ProviderUnavailable
from models.generation import Generation
from models.ledger import LedgerPosting, PostingKind
from models.training import Training, TrainingEvent
from models.user import User
from services.ports import StoreKeyRefused, StoreUnavailable
from services.training_finish import STORAGE_AWAY
from tests.fakes import FixedClock
from tests.service.ledger import assert_sound
from tests.service.webhook_stage import DRAWN, TRAINED, Stage

HOUR = 3600.0
PEERS: dict[str, tuple[str, str, Exception]] = {
    "result": ("provider", "result", ProviderUnavailable(reason="503")),
    "files": ("provider", "download", ProviderUnavailable(reason="reset")),
    "store": ("store", "put", StoreUnavailable("down")),
    "store's key": ("store", "put", StoreKeyRefused("rotated")),
}


@dataclass
class Waiting:
    """Time that passes only while somebody waits."""

    passed: float = 0.0

    def away(self, call: Callable[..., Any], error: Exception, *, until: float) -> Callable[..., Any]:
        """A call that fails until then."""

        async def calling(*args: Any, **options: Any) -> Any:
            if self.passed < until:
                raise error
            return await call(*args, **options)

        return calling


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    """The time of all retries."""
    time, sleep = Waiting(), asyncio.sleep

    async def pass_by(seconds: float) -> None:
        time.passed += seconds
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", pass_by)
    monkeypatch.setattr(tenacity, "time", SimpleNamespace(monotonic=lambda: time.passed))
    with capture_logs():
        yield time


@pytest.fixture
async def stage(owner: User, clock: FixedClock, tmp_path: Path) -> AsyncIterator[Stage]:
    """The services on each kind of database."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        yield Stage(folder=tmp_path, workers=workers, owner=owner, clock=clock)


@pytest.mark.parametrize(
    ("peer", "hours", "end"), [*((peer, 1, "COMPLETED") for peer in PEERS), ("files", 25, "FAILED")]
)
@pytest.mark.parametrize("kind", ["training", "generation"])
async def test_an_outage(
    stage: Stage, waiting: Waiting, monkeypatch: pytest.MonkeyPatch, *, kind: str, peer: str, hours: int, end: str
) -> None:
    """For an hour: kept, and paid once. For more than a day: FAILED and refunded."""
    whose, name, error = PEERS[peer]
    gateway = getattr(stage, whose)
    monkeypatch.setattr(gateway, name, waiting.away(getattr(gateway, name), error, until=hours * HOUR))
    stage.provider.answers["request-1"] = TRAINED if kind == "training" else DRAWN
    job: Any = await (stage.training() if kind == "training" else stage.generation())
    await stage.work()
    model: Any = Training if kind == "training" else Generation
    settled = PostingKind.COMMIT if end == "COMPLETED" else PostingKind.REFUND
    kinds = set(await LedgerPosting.filter(job_id=job.id).values_list("kind", flat=True))
    assert (end, {PostingKind.RESERVE, settled}) == ((await model.get(id=job.id)).status, kinds)
    assert (1, True) == (len(stage.provider.submitted), waiting.passed < hours * HOUR + 60)
    await assert_sound(stage.owner.id)


async def test_watchers_are_told_once(stage: Stage, waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the store is asked."""
    put = waiting.away(stage.store.put, StoreUnavailable("down"), until=HOUR)
    monkeypatch.setattr(stage.store, "put", put)
    await stage.trained()
    assert 1 == await TrainingEvent.filter(message=STORAGE_AWAY).count()
