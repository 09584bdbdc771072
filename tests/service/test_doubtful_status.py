"""A status that says nothing of an accepted job is not its end: only the provider's own verdict is."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from models.errors import (
    LikenessError,
    MissingFalKey,
    ProviderBalanceExhausted,
    ProviderError,
    ProviderJobGone,
    ProviderKeyRefused,
    ProviderRejected,
    ResultUnusable,
)
from models.generation import Generation, GenerationEvent
from models.ledger import PostingKind
from models.status import GenerationStatus, TrainingStatus
from models.submission import Submission, SubmissionState
from models.training import Training, TrainingEvent
from models.user import User
from services import rescue
from services.ports import Ended, ProviderJob, Queued, Running
from tests.fake_fal import no_waiting
from tests.fakes import TimedBus
from tests.photos import jpeg_bytes
from tests.service.engine import carried_out
from tests.service.process import DAILY, Process, on_sqlite, postings
from tests.service.webhook_stage import DRAWN, PICTURE_URL, TRAINED, WEIGHTS, WEIGHTS_URL

GONE = ProviderJobGone(reason="NOT_FOUND")
DOUBTS = [
    ProviderKeyRefused(reason="Invalid key."),
    ProviderBalanceExhausted(reason="User is locked."),
    ProviderRejected(reason="Unprocessable."),
    MissingFalKey(),
    GONE,
]


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Repeats come at once."""
    with no_waiting():
        yield


@pytest.fixture
async def process(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    """A process whose first job ends well, once it is read."""
    async with on_sqlite(sqlite_database_url, tmp_path) as process:
        process.bus = TimedBus(process.clock)
        process.provider.answers["request-1"] = TRAINED | DRAWN
        process.provider.files |= {WEIGHTS_URL: WEIGHTS, PICTURE_URL: jpeg_bytes()}
        yield process


@pytest.fixture
async def owner(process: Process) -> User:
    """Whose job it is."""
    return await process.user()


@pytest.mark.parametrize("doubt", DOUBTS, ids=lambda error: type(error).__name__)
async def test_a_training_goes_on(process: Process, owner: User, *, doubt: ProviderError) -> None:
    """One odd answer to a look is asked again, and the training completes."""
    training = await process.training(owner)
    process.provider.standing = [Running(), doubt, Running(), Ended()]
    await carried_out(process.assembly.training_run.run, training.id)
    assert TrainingStatus.COMPLETED is (await Training.get(id=training.id)).status
    assert ([], 1) == (process.provider.cancelled, len(process.provider.submitted))


@pytest.mark.parametrize("doubt", DOUBTS, ids=lambda error: type(error).__name__)
async def test_a_generation_goes_on(process: Process, owner: User, *, doubt: ProviderError) -> None:
    """Neither does it end a generation, nor is the next model asked and paid."""
    drawing = await process.generation(owner)
    process.provider.standing = [Running(), doubt, Running(), Ended()]
    await carried_out(process.assembly.generation_run.run, drawing.id)
    assert GenerationStatus.COMPLETED is (await Generation.get(id=drawing.id)).status
    assert ([], 1) == (process.provider.cancelled, len(process.provider.submitted))


@pytest.mark.parametrize("kind", ["training", "generation"])
async def test_a_job_that_stays_unknown_ends(process: Process, owner: User, *, kind: str) -> None:
    """When the provider says three times in a row that it does not know the job, it is FAILED and refunded."""
    job = await getattr(process, kind)(owner)
    process.provider.standing = [GONE, GONE, Running(), GONE, GONE, GONE, Ended()]
    await carried_out(getattr(process.assembly, f"{kind}_run").run, job.id)
    row = await type(job).get(id=job.id)
    assert ("FAILED", GONE.message) == (row.status.value, row.error_message)
    assert [Ended()] == process.provider.standing
    assert DAILY == await process.spendable(owner)


async def test_a_queue_without_a_place(process: Process, owner: User) -> None:
    """The watchers are told that it waits, and the place once the provider tells it."""
    training, drawing = await process.training(owner), await process.generation(owner)
    for run, job in ((process.assembly.training_run, training), (process.assembly.generation_run, drawing)):
        process.provider.standing = [Queued(position=None), Queued(position=1), Ended()]
        await carried_out(run.run, job.id)
    expected = [("Waiting at the provider", None), ("Waiting at the provider, position 2", 1)]
    trainings, generations = TrainingEvent.filter(training_id=training.id), GenerationEvent.all()
    for events in (trainings, generations):
        told = await events.filter(message__startswith="Waiting").order_by("seq")
        assert expected == [(event.message, event.queue_position) for event in told]


class Reading:
    """The result call of a provider, which fails until it is told to work."""

    def __init__(self, process: Process, failure: LikenessError) -> None:
        self.failure: LikenessError | None = failure
        self.result = process.provider.result

    async def __call__(self, job: ProviderJob) -> Mapping[str, Any]:
        if self.failure is not None:
            raise self.failure
        return await self.result(job)


@pytest.mark.parametrize("kind", ["training", "generation"])
async def test_a_late_success_is_kept(
    process: Process, owner: User, monkeypatch: pytest.MonkeyPatch, *, kind: str
) -> None:
    """A job that was failed without a verdict is still looked at: what the provider made is kept, and free."""
    job = await getattr(process, kind)(owner)
    reading = Reading(process, ProviderKeyRefused(reason="Invalid key."))
    monkeypatch.setattr(process.provider, "result", reading)
    await carried_out(getattr(process.assembly, f"{kind}_run").run, job.id)
    assert "FAILED" == (await type(job).get(id=job.id)).status.value
    reading.failure, process.provider.standing = None, [ProviderKeyRefused(reason="Invalid key."), Ended()]
    assert 1 == await process.assembly.housekeeping.find_lost()
    assert (rescue.RUN, job.id) == process.jobs.enqueued[-1]
    await carried_out(process.assembly.runs[rescue.RUN], job.id)
    row = await type(job).get(id=job.id)
    assert ("COMPLETED", 0) == (row.status.value, row.credits_spent)
    assert [PostingKind.RESERVE, PostingKind.REFUND] == await postings(job.id)
    assert (0, 1) == (await process.assembly.housekeeping.find_lost(), len(process.provider.submitted))


@pytest.mark.parametrize(
    "verdict", [ProviderRejected(reason="no faces"), ResultUnusable(reason="it is torn.")], ids=repr
)
async def test_a_verdict_is_the_end(
    process: Process, owner: User, monkeypatch: pytest.MonkeyPatch, *, verdict: LikenessError
) -> None:
    """What the model itself refuses ends the training at once, and nothing is looked for."""
    training = await process.training(owner)
    monkeypatch.setattr(process.provider, "result", Reading(process, verdict))
    await carried_out(process.assembly.training_run.run, training.id)
    assert TrainingStatus.FAILED is (await Training.get(id=training.id)).status
    assert (SubmissionState.ACCEPTED, False) == await Submission.get(job_id=training.id).values_list("state", "lost")
    assert 0 == await process.assembly.housekeeping.find_lost()
