"""The database goes away during a run: no call without its intent, no second call, and every job settled once."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from models.errors import ProviderRejected
from models.generation import Generation
from models.ledger import PostingKind
from models.submission import Submission
from models.training import Training
from services import submissions
from services.credits import Credits
from tests.fake_fal import no_waiting
from tests.lost_wire import COMMITTED, LosingWire, then
from tests.photos import jpeg_bytes
from tests.service.engine import carried_out
from tests.service.ledger import assert_sound
from tests.service.process import Process, postings
from tests.service.webhook_stage import DRAWN, PICTURE_URL, TRAINED, WEIGHTS, WEIGHTS_URL

SPENT, REFUNDED = [PostingKind.RESERVE, PostingKind.COMMIT], [PostingKind.RESERVE, PostingKind.REFUND]
KINDS = ["training", "generation"]


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Repeats come at once, and what is logged of them is not written out."""
    with no_waiting(), capture_logs():
        yield


@pytest.fixture
async def process(wire: LosingWire, tmp_path: Path) -> AsyncIterator[Process]:
    """A process whose provider has trained and drawn."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        process = Process(folder=tmp_path, workers=workers)
        process.provider.files = {WEIGHTS_URL: WEIGHTS, PICTURE_URL: jpeg_bytes()}
        yield process


class Cut:
    """The database goes away, or its answer to the next commit is lost: the first time that this is called."""

    def __init__(self, process: Process, wire: LosingWire, how: str) -> None:
        self._process = process
        self._wire = wire
        self._how = how
        self._happened = False
        self.paid_meanwhile = -1

    async def __call__(self) -> None:
        if self._happened:
            return
        self._happened = True
        if self._how == "away":
            await self._wire.cut()
        else:
            self._wire.lose = COMMITTED

    async def mend(self) -> None:
        """It is back; how many calls had been paid until then is noted."""
        self.paid_meanwhile = len(self._process.provider.submitted)
        if self._how == "away":
            await self._wire.mend()


async def accepted(process: Process, kind: str) -> Training | Generation:
    """A job that was just accepted."""
    owner = await process.user()
    return await (process.training(owner) if kind == "training" else process.generation(owner))


async def carried(process: Process, job: Training | Generation, cut: Cut) -> tuple[int, str, list[PostingKind], int]:
    """How often a step was tried again, the job's end, what the ledger says of it, and how many calls were paid."""
    run = process.assembly.runs["training" if isinstance(job, Training) else "generation"]
    again = await carried_out(run, job.id, between=cut.mend)
    row = await type(job).get(id=job.id)
    await assert_sound(row.owner_id)
    return again, row.status.value, await postings(job.id), len(process.provider.submitted)


def first(call: Any, before: Cut) -> Any:
    """The same call, and right before it something else."""

    async def both(*args: Any, **options: Any) -> Any:
        await before()
        return await call(*args, **options)

    return both


@pytest.mark.parametrize("kind", KINDS)
async def test_an_intent_that_cannot_be_written(
    process: Process, wire: LosingWire, monkeypatch: pytest.MonkeyPatch, *, kind: str
) -> None:
    """Nothing is posted; with the database back the intent is written, and its one call made."""
    job, cut = await accepted(process, kind), Cut(process, wire, "away")
    process.provider.answers["request-1"] = TRAINED if kind == "training" else DRAWN
    monkeypatch.setattr(submissions, "_intend", first(submissions._intend, cut))
    assert (1, "COMPLETED", SPENT, 1) == await carried(process, job, cut)
    assert 0 == cut.paid_meanwhile


@pytest.mark.parametrize("kind", KINDS)
async def test_an_intent_of_which_nobody_was_told(
    process: Process, wire: LosingWire, monkeypatch: pytest.MonkeyPatch, *, kind: str
) -> None:
    """The row is there, so a call may have been made: none is, and after the grace time the credits come back."""
    job, cut = await accepted(process, kind), Cut(process, wire, "unanswered")
    monkeypatch.setattr(submissions, "_intend", first(submissions._intend, cut))
    assert (1, "FAILED", REFUNDED, 0) == await carried(process, job, cut)
    assert (await Submission.get(job_id=job.id)).lost


async def test_a_call_whose_request_id_cannot_be_saved(process: Process, wire: LosingWire) -> None:
    """It is found in the provider's list and not made again."""
    job, cut = await accepted(process, "training"), Cut(process, wire, "away")
    process.provider.answers["request-1"] = TRAINED
    process.provider.during["submit"] = cut
    assert (1, "COMPLETED", SPENT, 1) == await carried(process, job, cut)
    assert 1 == cut.paid_meanwhile


@pytest.mark.parametrize("how", ["away", "unanswered"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_commit(
    process: Process, wire: LosingWire, monkeypatch: pytest.MonkeyPatch, *, kind: str, how: str
) -> None:
    """Cut within the transaction, or after it: the step is tried again, and the credits are spent once."""
    job, cut = await accepted(process, kind), Cut(process, wire, how)
    process.provider.answers["request-1"] = TRAINED if kind == "training" else DRAWN
    monkeypatch.setattr(Credits, "commit", then(Credits.commit, cut))
    assert (1, "COMPLETED", SPENT, 1) == await carried(process, job, cut)


@pytest.mark.parametrize("how", ["away", "unanswered"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_refund(
    process: Process, wire: LosingWire, monkeypatch: pytest.MonkeyPatch, *, kind: str, how: str
) -> None:
    """The same for giving up: the reason is kept, and the credits come back once."""
    job, cut = await accepted(process, kind), Cut(process, wire, how)

    async def refuse(*args: Any, **options: Any) -> Any:
        raise ProviderRejected(reason="flagged", type="content_policy_violation")

    monkeypatch.setattr(process.provider, "result", refuse)
    monkeypatch.setattr(Credits, "refund", then(Credits.refund, cut))
    assert (1, "FAILED", REFUNDED, 1) == await carried(process, job, cut)
