"""Trying again: a new attempt with the same photos and settings, one per failure, the ZIP reused."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from models.errors import Conflict, InsufficientCredits, NotFound
from models.ids import new_id
from models.ledger import PostingKind
from models.lora import LoraModel
from models.status import SubjectGender, TrainingStatus
from models.training import Training, TrainingPhoto
from models.user import User
from services.training_changes import COPIED
from tests.service import rows
from tests.service.ledger import assert_sound
from tests.service.process import DAILY, PRICE, Process, on_sqlite, postings, told


@pytest.fixture
async def process(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    """A process of its own."""
    async with on_sqlite(sqlite_database_url, tmp_path) as process:
        yield process


@pytest.fixture
async def owner(process: Process) -> User:
    """Who starts and tries again."""
    return await process.user()


async def retry(process: Process, owner: User, id: UUID) -> Training:
    """Try a training again."""
    return await process.assembly.services.training_changes.retry(owner.id, id)


async def photos(training: Training) -> list[UUID]:
    """The photos of a training, in order."""
    return [row.photo_id for row in await TrainingPhoto.filter(training_id=training.id).order_by("position")]


async def test_a_new_attempt(process: Process, owner: User) -> None:
    """A new training and model with the settings and photos of the old one, its own reserve and its own events."""
    settings = {"gender": SubjectGender.WOMAN, "steps": 700, "trigger_word": "ANNA", "create_masks": False}
    earlier = await process.failed(owner, **settings, learning_rate=0.001, idempotency_key="k")
    again = await retry(process, owner, earlier.id)
    assert {name: getattr(earlier, name) for name in COPIED} == {name: getattr(again, name) for name in COPIED}
    assert (700, "ANNA", None) == (again.steps, again.trigger_word, again.idempotency_key)
    assert await photos(earlier) == await photos(again)
    assert (earlier.id, TrainingStatus.PENDING, PRICE) == (again.retry_of, again.status, again.credits_spent)
    models = [await LoraModel.get(id=row.model_id) for row in (earlier, again)]
    assert models[0].id != models[1].id
    assert models[0].name == models[1].name
    assert [(1, "PENDING")] == await told(again.id)
    assert ("training", again.id) == process.jobs.enqueued[-1]
    assert [PostingKind.RESERVE] == await postings(again.id)
    assert [PostingKind.RESERVE, PostingKind.REFUND] == await postings(earlier.id)
    assert DAILY - PRICE == await process.spendable(owner)


async def test_every_column_is_copied_or_known_to_differ() -> None:
    """A new setting of trainings cannot be forgotten here."""
    own = {
        "id", "model_id", "status", "stage", "percent", "seq", "archive_url", "archive_sha256", "retry_of",
        "idempotency_key", "credits", "credits_spent", "error_code", "error_message", "error_retryable", "simulated",
        "metadata", "created_at", "started_at", "completed_at",
    }  # fmt: skip
    assert set(Training._meta.db_fields) == own | set(COPIED)


async def test_asking_twice_gives_the_same_attempt(process: Process, owner: User) -> None:
    """Also while it works, and after it has completed."""
    earlier = await process.failed(owner)
    again = await retry(process, owner, earlier.id)
    assert again.id == (await retry(process, owner, earlier.id)).id
    await process.assembly.training_run.hand_over(again.id)
    await process.assembly.training_run.submit(again.id)
    assert again.id == (await retry(process, owner, earlier.id)).id
    await process.assembly.trainings.complete(again.id, model={})
    assert again.id == (await retry(process, owner, earlier.id)).id
    assert 2 == await Training.filter(owner_id=owner.id).count()


async def test_an_attempt_that_failed_too(process: Process, owner: User) -> None:
    """Asked for the first or the second, the third is made; there is one line of attempts."""
    first = await process.failed(owner)
    second = await retry(process, owner, first.id)
    await process.assembly.services.training_changes.cancel(owner.id, second.id)
    third = await retry(process, owner, first.id)
    assert second.id == third.retry_of
    assert {third.id} == {(await retry(process, owner, id)).id for id in (first.id, second.id)}


async def test_the_zip_is_reused(process: Process, owner: User) -> None:
    """Cancelled at the provider and tried again: one upload, two submits of the same archive."""
    earlier = await process.submitted(owner)
    await process.assembly.services.training_changes.cancel(owner.id, earlier.id)
    again = await retry(process, owner, earlier.id)
    await process.assembly.training_run.hand_over(again.id)
    await process.assembly.training_run.submit(again.id)
    assert 1 == process.provider.uploads
    urls = [arguments["images_data_url"] for _, arguments in process.provider.submitted]
    assert 2 == len(urls)
    assert 1 == len(set(urls))


async def test_an_old_zip_is_packed_again(process: Process, owner: User) -> None:
    """One that would die while the provider reads it is not handed out."""
    earlier = await process.submitted(owner)
    await process.assembly.services.training_changes.cancel(owner.id, earlier.id)
    process.clock.time += timedelta(hours=13)
    again = await retry(process, owner, earlier.id)
    await process.assembly.training_run.hand_over(again.id)
    assert 2 == process.provider.uploads


async def test_a_zip_of_the_users_own(process: Process, owner: User) -> None:
    """Without photos its address is taken again."""
    url = "https://zips.example/a.zip"
    earlier = await process.failed(owner, images_data_url=url)
    again = await retry(process, owner, earlier.id)
    await process.assembly.training_run.hand_over(again.id)
    assert ([], url) == (await photos(again), (await Training.get(id=again.id)).archive_url)


async def test_what_has_not_failed(process: Process, owner: User) -> None:
    """A training that waits, works or has completed is a CONFLICT, and nothing is started."""
    pending, working = await process.training(owner), await process.submitted(owner)
    for training in (pending, working):
        with pytest.raises(Conflict, match="Only a FAILED or CANCELLED training") as refused:
            await retry(process, owner, training.id)
        assert ("input", "id") == refused.value.path
    await process.assembly.trainings.complete(working.id, model={})
    with pytest.raises(Conflict, match="this one is COMPLETED"):
        await retry(process, owner, working.id)
    assert 2 == await Training.filter(owner_id=owner.id).count()


@pytest.mark.parametrize("end", [TrainingStatus.PENDING, TrainingStatus.FAILED])
async def test_what_completed_late(process: Process, owner: User, *, end: TrainingStatus) -> None:
    """A training that completed after it was tried again is a CONFLICT, whatever became of the attempt."""
    first = await process.failed(owner)
    second = await retry(process, owner, first.id)
    if end is TrainingStatus.FAILED:
        await process.assembly.training_run.give_up(second.id, RuntimeError("broken"))
    await process.assembly.trainings.complete(first.id, model={})
    before = await process.spendable(owner)
    with pytest.raises(Conflict, match="this one is COMPLETED"):
        await retry(process, owner, first.id)
    assert (2, before) == (await Training.filter(owner_id=owner.id).count(), await process.spendable(owner))


async def test_without_credits(process: Process, owner: User) -> None:
    """INSUFFICIENT_CREDITS, and no row of the attempt is left: with credits it can be made."""
    earlier = await process.failed(owner)
    for _ in range(2):
        await process.training(owner)
    with pytest.raises(InsufficientCredits):
        await retry(process, owner, earlier.id)
    assert (3, 3) == (await Training.all().count(), await LoraModel.all().count())
    await process.assembly.credits.grant(owner.id, PRICE)
    assert earlier.id == (await retry(process, owner, earlier.id)).retry_of


async def test_others_cannot(process: Process, owner: User) -> None:
    """A stranger's and an unknown id are the same."""
    earlier = await process.failed(owner)
    for asker, id in ((await process.user(), earlier.id), (owner, new_id())):
        with pytest.raises(NotFound):
            await retry(process, asker, id)


async def test_twenty_at_once(database: str, tmp_path: Path) -> None:
    """All get the same attempt, which is paid for once."""
    process, owner = Process(folder=tmp_path, workers=ThreadPoolExecutor(1)), await rows.user()
    earlier = await process.failed(owner)
    attempts = await asyncio.gather(*(retry(process, owner, earlier.id) for _ in range(20)))
    assert 1 == len({attempt.id for attempt in attempts})
    assert DAILY - PRICE == await process.spendable(owner)
    await assert_sound(owner.id)
