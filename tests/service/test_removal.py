"""Deleting: marked first, files after, nothing lost by a crash; the ledger stays, living jobs keep what they need."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from models.errors import Conflict, NotFound
from models.generation import Generation
from models.lora import LoraModel
from models.photo import Photo
from models.status import GenerationStatus, TrainingStatus
from models.user import User
from services import removal
from services.generation_input import GenerationInput, LoraChoice
from services.ports import AssetKind, StoreKeyRefused, StoreRefused
from services.training_input import TrainingInput
from services.uploads import UploadedFile
from tests.fakes import FixedClock
from tests.photos import jpeg_bytes
from tests.service import rows
from tests.service.ledger import assert_sound
from tests.service.webhook_stage import DRAWN, Stage


@pytest.fixture
async def stage(owner: User, clock: FixedClock, tmp_path: Path) -> AsyncIterator[Stage]:
    """The services on each kind of database."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        yield Stage(folder=tmp_path, workers=workers, owner=owner, clock=clock)


async def deleted(stage: Stage, row: Any) -> None:
    remove = stage.assembly.upkeep.removal
    ways = {Photo: remove.delete_photo, LoraModel: remove.delete_model, Generation: remove.delete_generation}
    await ways[type(row)](stage.owner.id, row.id)


async def kept(stage: Stage) -> Generation:
    stage.provider.answers |= {"request-1": DRAWN, "request-2": DRAWN}
    generation = await stage.generation()
    await stage.work()
    return await Generation.get(id=generation.id)


async def test_a_generation_goes_with_its_file(stage: Stage) -> None:
    """It is in no list any more, its file is gone, its credits stay spent, and it can be deleted again."""
    row = await kept(stage)
    ledger = await stage.ledger()
    for _ in range(2):
        await deleted(stage, row)
    assert [removal.RUN] == await stage.work()
    assert {} == stage.store.files
    assert await stage.assembly.generation.get(stage.owner.id, row.id) is None
    assert [] == (await stage.assembly.generation.browse(stage.owner.id, first=None, after=None)).rows
    assert ledger == await stage.ledger()
    await assert_sound(stage.owner.id)


async def test_a_model_goes_with_its_weights(stage: Stage) -> None:
    """It cannot be used any more, and what was made with it stays."""
    model = await stage.trained()
    await deleted(stage, model)
    await stage.work()
    assert {} == stage.store.files
    wanted = GenerationInput(prompt="a portrait", loras=(LoraChoice(model=model.id),))
    with pytest.raises(NotFound):
        await stage.assembly.generation.start(stage.owner.id, wanted)


async def test_what_a_cancelled_job_left_goes_too(stage: Stage) -> None:
    """A file that its row does not name, because the job ended in between, goes with the row; other files stay."""
    drawing = await rows.generation(stage.owner.id, status=GenerationStatus.CANCELLED, asset_name="lora_run_0")
    training = await rows.training(stage.owner.id, status=TrainingStatus.FAILED)
    model = await LoraModel.get(id=training.model_id)
    names = ["image/lora_run_0.png", f"weights/{model.id}.safetensors", f"weights/{model.id}.json"]
    stage.store.files |= dict.fromkeys([*names, "image/lora_run_01.png"], b"left")
    for row in (drawing, model):
        await deleted(stage, row)
    await stage.work()
    assert ["image/lora_run_01.png"] == list(stage.store.files)


async def test_a_photo_can_come_again(stage: Stage) -> None:
    """A deleted photo is not trained on; uploaded again it is a new one."""
    photos = stage.assembly.photos
    (stage.folder / "me.jpg").write_bytes(jpeg_bytes())
    file = UploadedFile(
        path=stage.folder / "me.jpg", filename="me.jpg", content_type="image/jpeg", bytes=1000, too_large=False
    )
    [first] = (await photos.upload(stage.owner.id, [file])).photos
    await deleted(stage, first)
    await stage.work()
    assert {} == stage.store.files
    with pytest.raises(NotFound):
        await photos.own(stage.owner.id, [first.id])
    [second] = (await photos.upload(stage.owner.id, [file])).photos
    assert (True, 1) == (first.id != second.id, len(stage.store.files))
    assert first.sha256 == (await Photo.get(id=first.id)).sha256


async def test_a_crash_loses_nothing(stage: Stage) -> None:
    """When the run never came, or the store was away, the sweep removes the files later."""
    row = await kept(stage)
    await deleted(stage, row)
    stage.jobs.enqueued.clear()
    assert 0 == await stage.assembly.upkeep.removal.remove_forgotten()
    stage.clock.time += timedelta(minutes=2)
    assert 1 == await stage.assembly.upkeep.removal.remove_forgotten()
    assert {} == stage.store.files
    assert 0 == await stage.assembly.upkeep.removal.remove_forgotten()


async def test_living_jobs_keep_what_they_need(stage: Stage) -> None:
    """Photo of a training, model of a training or generation, a generation itself: CONFLICT until they have ended."""
    photo, training = await rows.photo(stage.owner.id), await rows.training(stage.owner.id)
    await rows.training_photo(training.id, photo.id)
    training_model = await LoraModel.get(id=training.model_id)
    other, source = await rows.model(stage.owner.id), await rows.photo(stage.owner.id)
    generation = await rows.generation(stage.owner.id, source_photo_id=source.id)
    await rows.generation_lora(generation.id, other.id)
    needed = [photo, source, training_model, other, generation]
    for row in needed:
        with pytest.raises(Conflict):
            await deleted(stage, row)
    await type(training).filter(id=training.id).update(status=TrainingStatus.FAILED)
    await type(generation).filter(id=generation.id).update(status=GenerationStatus.CANCELLED)
    for row in needed:
        await deleted(stage, row)


@pytest.mark.parametrize("make", [rows.photo, rows.model, rows.generation])
async def test_strangers_things_are_unknown(stage: Stage, make: Any) -> None:
    """Nobody deletes what is not theirs."""
    stranger = await rows.user()
    row = await make(stranger.id)
    with pytest.raises(NotFound):
        await deleted(stage, row)


async def test_a_failed_training_without_its_photos_is_not_retried(stage: Stage) -> None:
    """A photo that was deleted is not trained on again."""
    photos = [await rows.photo(stage.owner.id) for _ in range(5)]
    wanted = TrainingInput(
        model_name="Me", photo_ids=tuple(photo.id for photo in photos), base_model="flux-lora-fast-training"
    )
    training = await stage.assembly.training.start(stage.owner.id, wanted)
    await stage.assembly.trainings.cancel(training.id)
    await deleted(stage, photos[0])
    with pytest.raises(Conflict):
        await stage.assembly.services.training_changes.retry(stage.owner.id, training.id)
    with pytest.raises(NotFound):
        await stage.assembly.training.start(stage.owner.id, wanted)


async def sweep(stage: Stage) -> int:
    """What the sweep is done with, later."""
    stage.clock.time += timedelta(minutes=5)
    return await stage.assembly.upkeep.removal.remove_forgotten()


async def test_a_refused_file_does_not_keep_the_others(stage: Stage) -> None:
    """The store will not remove one file: those of the rows behind it go, and it is tried again."""
    photos = [await rows.photo(stage.owner.id, location=f"photo/{name}.jpg") for name in "ab"]
    stage.store.files |= {photo.location: b"x" for photo in photos}
    whole = stage.store.delete

    async def delete(location: str) -> None:
        if location == photos[0].location:
            raise StoreRefused("not removed (400)")
        await whole(location)

    stage.store.delete = delete  # type: ignore[method-assign]
    for photo in photos:
        await deleted(stage, photo)
    assert 1 == await sweep(stage)
    assert [photos[0].location] == list(stage.store.files)
    stage.store.delete = whole  # type: ignore[method-assign]
    assert 1 == await sweep(stage)
    assert {} == stage.store.files


async def test_refused_credentials_stop_the_sweep(stage: Stage) -> None:
    """Nothing can be removed until the operator has put them right, so nothing more is asked."""

    async def delete(location: str) -> None:
        raise StoreKeyRefused("key")

    stage.store.delete = delete  # type: ignore[method-assign]
    await deleted(stage, await rows.photo(stage.owner.id))
    with pytest.raises(StoreKeyRefused):
        await sweep(stage)


async def test_a_file_that_is_named_during_its_removal_goes_later(stage: Stage) -> None:
    """A late success names its file while the files of the deleted row are being removed: the sweep takes it."""
    row = await rows.generation(stage.owner.id, status=GenerationStatus.FAILED)
    whole = stage.store.forget

    async def forget(kind: AssetKind, name: str) -> None:
        await whole(kind, name)
        stage.store.files["image/late.png"] = b"x"
        await Generation.filter(id=row.id).update(location="image/late.png")

    stage.store.forget = forget  # type: ignore[method-assign]
    await deleted(stage, row)
    await stage.work()
    assert ["image/late.png"] == list(stage.store.files)
    assert 1 == await sweep(stage)
    assert {} == stage.store.files
