"""Late successes: what was failed and refunded after the grace time is kept after all, and is free."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from models.errors import ProviderRejected
from models.generation import Generation
from models.lora import LoraModel
from models.status import GenerationStatus, TrainingStatus
from models.submission import SubmissionState
from models.training import Training, TrainingEvent
from models.user import User
from services.ports import Download
from tests.fake_fal import no_waiting
from tests.fakes import FixedClock
from tests.service.ledger import assert_sound, slots
from tests.service.webhook_stage import DRAWN, TRAINED, WEIGHTS, WEIGHTS_URL, Stage


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Repeats come at once."""
    with no_waiting():
        yield


@pytest.fixture
async def stage(owner: User, clock: FixedClock, tmp_path: Path) -> AsyncIterator[Stage]:
    """The services on each kind of database; the provider loses its answers."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        stage = Stage(folder=tmp_path, workers=workers, owner=owner, clock=clock)
        stage.provider.loses = True
        yield stage


async def lost_training(stage: Stage) -> Training:
    """A training whose answer was lost, and which was failed and refunded when the grace time was over."""
    training = await stage.training()
    assert ["training"] == await stage.work()
    row = await Training.get(id=training.id)
    assert (TrainingStatus.FAILED, 0) == (row.status, row.credits_spent)
    assert ["open", "close"] == await slots(training.id)
    return row


async def test_a_late_training_is_kept_and_free(stage: Stage) -> None:
    """COMPLETED with its own weights, nothing spent, no entry in the ledger, one POST, and a model that draws."""
    stage.provider.answers["request-1"] = TRAINED
    training = await lost_training(stage)
    ledger = await stage.ledger()
    await stage.deliver("request-1", job=(await stage.submission(training.id)).id)
    assert ["webhook", "rescue"] == await stage.work()
    row = await Training.get(id=training.id)
    assert (TrainingStatus.COMPLETED, 100.0, 0) == (row.status, row.percent, row.credits_spent)
    assert (None, None, False) == (row.error_code, row.error_message, row.error_retryable)
    assert (ledger, 1) == (await stage.ledger(), len(stage.provider.submitted))
    last = await TrainingEvent.filter(training_id=training.id).order_by("-seq").first()
    assert last is not None
    assert (row.seq, "Training completed") == (last.seq, last.message)
    assert SubmissionState.DONE is (await stage.submission(training.id)).state
    model = await LoraModel.get(id=row.model_id)
    assert WEIGHTS == stage.store.files[model.weights_location or ""]
    await draw(stage, model)
    await assert_sound(stage.owner.id)


async def draw(stage: Stage, model: LoraModel) -> None:
    """Make a picture with a model."""
    stage.provider.loses = False
    stage.provider.answers["request-2"] = DRAWN
    generation = await stage.generation(model)
    await stage.work()
    assert GenerationStatus.COMPLETED is (await Generation.get(id=generation.id)).status


async def test_a_late_picture_is_kept_and_free(stage: Stage) -> None:
    """The same holds for a generation."""
    stage.provider.answers["request-1"] = DRAWN
    generation = await stage.generation()
    await stage.work()
    row = await Generation.get(id=generation.id)
    assert (GenerationStatus.FAILED, 0) == (row.status, row.credits_spent)
    ledger = await stage.ledger()
    await stage.deliver("request-1", job=(await stage.submission(generation.id)).id)
    assert ["webhook", "rescue"] == await stage.work()
    row = await Generation.get(id=generation.id)
    assert (GenerationStatus.COMPLETED, 0, True) == (row.status, row.credits_spent, row.permanent)
    assert (ledger, 1) == (await stage.ledger(), len(stage.provider.submitted))
    assert row.location in stage.store.files
    await assert_sound(stage.owner.id)


@pytest.mark.parametrize("again", ["delivery", "run"])
async def test_a_rescue_may_run_twice(stage: Stage, again: str) -> None:
    """A repeated delivery, or a run that a crash repeats, finds nothing left to do."""
    stage.provider.answers["request-1"] = TRAINED
    training = await lost_training(stage)
    await stage.deliver("request-1", job=(await stage.submission(training.id)).id)
    await stage.work()
    seq = (await Training.get(id=training.id)).seq
    if again == "run":
        await stage.run("rescue", training.id)
    else:
        await stage.deliver("request-1")
    assert ([], seq) == (await stage.work(), (await Training.get(id=training.id)).seq)


async def test_a_late_failure_changes_nothing(stage: Stage) -> None:
    """It was failed and refunded, and the provider agrees."""
    training = await lost_training(stage)
    ledger = await stage.ledger()
    await stage.deliver("request-1", status="ERROR", job=(await stage.submission(training.id)).id)
    assert ["webhook"] == await stage.work()
    row = await Training.get(id=training.id)
    assert (TrainingStatus.FAILED, training.seq, ledger) == (row.status, row.seq, await stage.ledger())


async def test_a_late_result_that_cannot_be_used(stage: Stage) -> None:
    """The provider says OK, but its result is refused or unsound: the training stays FAILED and refunded."""
    training = await lost_training(stage)
    stage.provider.errors["request-1"] = ProviderRejected(reason="no faces")
    await stage.deliver("request-1", job=(await stage.submission(training.id)).id)
    assert ["webhook", "rescue"] == await stage.work()
    row = await Training.get(id=training.id)
    assert (TrainingStatus.FAILED, training.seq) == (row.status, row.seq)
    await assert_sound(stage.owner.id)


async def test_a_job_that_is_gone(stage: Stage) -> None:
    """A rescue of something that never was ends quietly."""
    await stage.run("rescue", stage.owner.id)
    assert not await Training.exists()


async def test_unsound_weights_are_not_kept(stage: Stage) -> None:
    """I4: without a whole copy of our own nothing is COMPLETED, late or not."""
    stage.provider.answers["request-1"] = TRAINED
    stage.provider.files[WEIGHTS_URL] = WEIGHTS[:-1]
    training = await lost_training(stage)
    await stage.deliver("request-1", job=(await stage.submission(training.id)).id)
    assert ["webhook", "rescue"] == await stage.work()
    assert TrainingStatus.FAILED is (await Training.get(id=training.id)).status
    assert {} == stage.store.files


@pytest.mark.parametrize("moment", ["download", "end"])
async def test_a_late_picture_of_a_deleted_generation_goes_again(stage: Stage, moment: str) -> None:
    """Deleted while it is fetched, or just before a crash repeats the rescue: its file does not stay."""
    stage.provider.answers["request-1"] = DRAWN
    generation = await stage.generation()
    await stage.work()
    await stage.deliver("request-1", job=(await stage.submission(generation.id)).id)
    remove = stage.assembly.upkeep.removal

    async def delete() -> None:
        await remove.delete_generation(stage.owner.id, generation.id)
        await remove.remove_files(generation.id)

    await rescued_while(stage, delete, moment=moment, name=f"image/{generation.asset_name}.jpg")
    await assert_sound(stage.owner.id)


@pytest.mark.parametrize("moment", ["download", "end"])
async def test_late_weights_of_a_deleted_model_go_again(stage: Stage, moment: str) -> None:
    """The same holds for a training."""
    stage.provider.answers["request-1"] = TRAINED
    training = await lost_training(stage)
    await stage.deliver("request-1", job=(await stage.submission(training.id)).id)
    remove = stage.assembly.upkeep.removal

    async def delete() -> None:
        await remove.delete_model(stage.owner.id, training.model_id)
        await remove.remove_files(training.model_id)

    await rescued_while(stage, delete, moment=moment, name=f"weights/{training.model_id}.safetensors")
    await assert_sound(stage.owner.id)


async def rescued_while(stage: Stage, delete: Callable[[], Awaitable[None]], *, moment: str, name: str) -> None:
    """A rescue, a deletion in its download or before its repetition after a crash, and a sweep; nothing is left."""
    whole = stage.provider.download

    async def download(url: str, to: Path, *, limit: int) -> Download:
        await delete()
        return await whole(url, to, limit=limit)

    if moment == "download":
        stage.provider.download = download  # type: ignore[method-assign]
    else:
        await delete()
        stage.store.files[name] = b"put by the execution that crashed"
    assert "rescue" in await stage.work()
    stage.clock.time += timedelta(minutes=5)
    await stage.assembly.upkeep.removal.remove_forgotten()
    assert {} == stage.store.files
