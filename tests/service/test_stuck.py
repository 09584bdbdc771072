"""A training that shows no sign of life is asked about, and ended with a refund when there is none."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from models.errors import ProviderJobGone, ProviderKeyRefused, ProviderRejected, ProviderUnavailable
from models.generation import Generation, GenerationEvent
from models.ledger import PostingKind
from models.status import GenerationStatus, TrainingStatus
from models.training import Training, TrainingEvent
from models.user import User
from services.ports import CancelOutcome, Queued, Running
from services.stuck import GivenUp
from tests.fakes import NOON, TimedBus
from tests.service.process import Process, on_sqlite, postings

SILENT = "No sign of life for"
HOUR = timedelta(hours=1)
LOG = ["flux_train:  40%|####      | 400/1000 [02:24<03:36]"]
AWAY = ProviderUnavailable(reason="no answer in time.")


class EndOfTest(Exception):
    """Nobody catches it."""


@pytest.fixture
async def process(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    """A process that looks at the provider three times a minute."""
    async with on_sqlite(sqlite_database_url, tmp_path) as process:
        process.bus, process.poll_seconds = TimedBus(process.clock), 20
        process.provider.outcome = CancelOutcome.REQUESTED
        yield process


@pytest.fixture
async def owner(process: Process) -> User:
    """Whose training it is."""
    return await process.user()


def not_ended(process: Process, monkeypatch: pytest.MonkeyPatch, *, instead: object = None) -> list[str]:
    """Let the provider say that there is no result, or raise or give something else; who asked is noted."""
    asked: list[str] = []

    async def result(job: Any) -> Any:
        asked.append(job.request_id)
        answer = instead or ProviderUnavailable(reason="the job has not ended yet.")
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(process.provider, "result", result)
    return asked


async def messages(training: UUID) -> list[str]:
    """What watchers were told since the provider has it."""
    events = await TrainingEvent.filter(training_id=training, stage="TRAINING").order_by("seq")
    return [event.message for event in events]


@pytest.mark.parametrize(
    ("standing", "bound", "said"),
    [
        (Running(logs=LOG), HOUR / 2, ["Training step 400/1000", f"{SILENT} 30 minutes; asking the provider"]),
        (
            Queued(position=1),
            2 * HOUR,
            ["Waiting at the provider, position 2", f"{SILENT} 2 hours; asking the provider"],
        ),
    ],
    ids=["running", "queued"],
)
async def test_a_dead_job_ends(
    process: Process, owner: User, monkeypatch: pytest.MonkeyPatch, *, standing: Any, bound: timedelta, said: list[str]
) -> None:
    """After the bound it is asked about once, after twice the bound it is cancelled, FAILED and refunded."""
    training, asked = await process.submitted(owner), not_ended(process, monkeypatch)
    process.provider.standing = [standing]
    with pytest.raises(GivenUp, match="The image provider was given up: its job showed no sign of life") as given_up:
        await process.assembly.training_run.watch(training.id)
    assert 2 * bound <= process.clock.now() - NOON < 2 * bound + timedelta(minutes=2)
    await process.assembly.training_run.give_up(training.id, given_up.value)
    assert [*said, given_up.value.message] == await messages(training.id)
    assert (["request-1"], ["request-1"]) == (asked, process.provider.cancelled)
    row = await Training.get(id=training.id)
    assert (TrainingStatus.FAILED, "PROVIDER_UNAVAILABLE", True) == (row.status, row.error_code, row.error_retryable)
    assert [PostingKind.RESERVE, PostingKind.REFUND] == await postings(training.id)
    assert 1 == len(process.provider.submitted)


async def test_the_question_keeps_the_place(process: Process, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Percent and step do not go back with it."""
    training, _ = await process.submitted(owner), not_ended(process, monkeypatch)
    process.provider.standing = [Running(logs=LOG)]
    with pytest.raises(GivenUp):
        await process.assembly.training_run.watch(training.id)
    before, question = await TrainingEvent.filter(training_id=training.id).order_by("-seq").limit(2)
    facts = [(event.percent, event.stage_percent, event.step) for event in (before, question)]
    assert [(72.0, 40.0, 400)] * 2 == facts


async def test_a_sign_of_life_begins_anew(process: Process, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line every 50 minutes keeps a job alive for a day: each silence is asked about, none is the end."""
    training, asked = await process.submitted(owner), not_ended(process, monkeypatch)
    lines: list[str] = []

    async def status(job: Any, *, logs: bool = False) -> Any:
        lines[:] = [f"line {number}" for number in range(int((process.clock.now() - NOON) / (HOUR * 5 / 6)) + 1)]
        if process.clock.now() - NOON > 24 * HOUR:
            raise EndOfTest
        return Running(logs=list(lines))

    monkeypatch.setattr(process.provider, "status", status)
    with pytest.raises(EndOfTest):
        await process.assembly.training_run.watch(training.id)
    assert 29 == len(asked)
    assert [] == process.provider.cancelled


@pytest.mark.parametrize("instead", [{"diffusers_lora_file": {}}, ProviderRejected(reason="bad photos.")], ids=repr)
async def test_a_result_behind_a_silent_status(
    process: Process, owner: User, monkeypatch: pytest.MonkeyPatch, *, instead: object
) -> None:
    """A status that never ends although there is a result, good or bad: it is over, and nothing is cancelled."""
    training, asked = await process.submitted(owner), not_ended(process, monkeypatch, instead=instead)
    process.provider.standing = [Running(logs=LOG)]
    await process.assembly.training_run.watch(training.id)
    assert (["request-1"], []) == (asked, process.provider.cancelled)


@pytest.mark.parametrize("instead", [ProviderKeyRefused(reason="Invalid key."), ProviderJobGone(reason="x")], ids=repr)
async def test_no_result_behind_a_silent_status(
    process: Process, owner: User, monkeypatch: pytest.MonkeyPatch, *, instead: Exception
) -> None:
    """An answer that is no verdict of the model says nothing of the job: it is waited for until the end."""
    training, asked = await process.submitted(owner), not_ended(process, monkeypatch, instead=instead)
    process.provider.standing = [Running(logs=LOG)]
    with pytest.raises(GivenUp, match="no sign of life for 1 hour"):
        await process.assembly.training_run.watch(training.id)
    assert (["request-1"], ["request-1"]) == (asked, process.provider.cancelled)


async def test_a_cancel_that_comes_too_late(process: Process, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider says at last that the job is over: its result is read, and nothing is refunded yet."""
    training, _ = await process.submitted(owner), not_ended(process, monkeypatch)
    process.provider.standing, process.provider.outcome = [Running(logs=LOG)], CancelOutcome.TOO_LATE
    await process.assembly.training_run.watch(training.id)
    assert TrainingStatus.TRAINING is (await Training.get(id=training.id)).status


async def test_a_provider_that_is_away(process: Process, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for a day, without a word to the watchers; then the credits come back."""
    training, asked = await process.submitted(owner), not_ended(process, monkeypatch)
    process.provider.standing = [AWAY]

    async def cancel(job: Any) -> CancelOutcome:
        raise AWAY

    monkeypatch.setattr(process.provider, "cancel", cancel)
    with pytest.raises(GivenUp, match="it has not answered for 24 hours"):
        await process.assembly.training_run.watch(training.id)
    assert 24 * HOUR <= process.clock.now() - NOON < 24 * HOUR + timedelta(minutes=2)
    assert ([], []) == (asked, await messages(training.id))


async def test_an_outage_is_not_silence(process: Process, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that goes on after an outage of many hours is followed to its end."""
    training, asked = await process.submitted(owner), not_ended(process, monkeypatch)
    hours = 20 * 3600 // 20
    process.provider.standing = [Running(logs=LOG), *[AWAY] * hours, Running(logs=[*LOG, "flux_train: 500/1000"])]

    async def status(job: Any, *, logs: bool = False) -> Any:
        now = process.provider.standing.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    monkeypatch.setattr(process.provider, "status", status)
    with pytest.raises(IndexError):
        await process.assembly.training_run.watch(training.id)
    assert ["Training step 400/1000", "Training step 500/1000"] == await messages(training.id)
    assert ([], []) == (asked, process.provider.cancelled)


async def test_a_stopped_process_ends_nothing(process: Process, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day passes between two looks: what was seen is two minutes of silence."""
    training, asked = await process.submitted(owner), not_ended(process, monkeypatch)
    looks = iter([Queued(position=0), Queued(position=0), None])

    async def status(job: Any, *, logs: bool = False) -> Any:
        process.clock.time += 24 * HOUR
        if (now := next(looks)) is None:
            raise EndOfTest
        return now

    monkeypatch.setattr(process.provider, "status", status)
    with pytest.raises(EndOfTest):
        await process.assembly.training_run.watch(training.id)
    assert ([], []) == (asked, process.provider.cancelled)


async def test_a_dead_generation_ends(process: Process, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked about after 10 minutes, and after 20 cancelled, FAILED and refunded."""
    drawing, asked = await process.generation(owner), not_ended(process, monkeypatch)
    process.provider.standing = [Running(logs=())]
    run = process.assembly.generation_run
    with pytest.raises(GivenUp) as given_up:
        await run.generate(drawing.id)
    await run.give_up(drawing.id, given_up.value)
    row = await Generation.get(id=drawing.id)
    said = [event.message for event in await GenerationEvent.filter(generation_id=drawing.id).order_by("seq")]
    assert [f"{SILENT} 10 minutes; asking the provider", given_up.value.message] == said[-2:]
    assert (GenerationStatus.FAILED, "PROVIDER_UNAVAILABLE", True) == (row.status, row.error_code, row.error_retryable)
    assert (["request-1"], ["request-1"]) == (asked, process.provider.cancelled)
    assert [PostingKind.RESERVE, PostingKind.REFUND] == await postings(drawing.id)
