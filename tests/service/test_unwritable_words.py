"""A provider's words that no database can hold: the job still ends, with its refund and with the rest of the words."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.errors import ProviderRejected
from models.generation import Generation, GenerationEvent
from models.ledger import PostingKind
from models.status import GenerationStatus, TrainingStage, TrainingStatus
from models.training import Training, TrainingEvent
from tests.service.process import Process, postings

REFUNDED = [PostingKind.RESERVE, PostingKind.REFUND]
REFUSED = "The image provider refused the request: bad \ufffd zip"
UNWRITABLE = pytest.mark.parametrize("letter", ["\ud83d", "\0", "\x1b"], ids=ascii)


@pytest.fixture
async def process(database: str, tmp_path: Path) -> AsyncIterator[Process]:
    """A process on each kind of database."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        yield Process(folder=tmp_path, workers=workers)


@UNWRITABLE
async def test_a_training_is_given_up(process: Process, letter: str) -> None:
    """FAILED and refunded; row and event say what can be said."""
    training = await process.training(await process.user())
    await process.assembly.training_run.give_up(training.id, ProviderRejected(reason=f"bad {letter} zip"))
    row = await Training.get(id=training.id)
    assert (TrainingStatus.FAILED, REFUSED, REFUNDED) == (row.status, row.error_message, await postings(row.id))
    assert REFUSED == (await TrainingEvent.get(training_id=row.id, seq=row.seq)).message


@UNWRITABLE
async def test_a_generation_is_given_up(process: Process, letter: str) -> None:
    """The same holds for a generation."""
    drawing = await process.generation(await process.user())
    await process.assembly.generation_run.give_up(drawing.id, ProviderRejected(reason=f"bad {letter} zip"))
    row = await Generation.get(id=drawing.id)
    assert (GenerationStatus.FAILED, REFUSED, REFUNDED) == (row.status, row.error_message, await postings(row.id))
    assert REFUSED == (await GenerationEvent.get(generation_id=row.id, seq=row.seq)).message


async def test_a_long_story_is_cut(process: Process) -> None:
    """A reason of any length can be written."""
    training = await process.training(await process.user())
    await process.assembly.training_run.give_up(training.id, ProviderRejected(reason="no " * 100_000))
    row = await Training.get(id=training.id)
    assert (TrainingStatus.FAILED, 2000) == (row.status, len(row.error_message or ""))


@UNWRITABLE
async def test_progress_goes_on(process: Process, letter: str) -> None:
    """An event's message is cleaned too."""
    training = await process.training(await process.user())
    message = f"Step {letter}\n"
    row = await process.assembly.trainings.progress(training.id, stage=TrainingStage.TRAINING, message=message)
    assert row is not None
    assert "Step \ufffd\n" == (await TrainingEvent.get(training_id=row.id, seq=row.seq)).message
