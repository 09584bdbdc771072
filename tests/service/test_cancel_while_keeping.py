"""A cancel around the moment in which a result is kept: nothing of a cancelled job stays in the store."""

from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from models.errors import AlreadyFinished
from models.generation import Generation
from models.ledger import PostingKind
from models.lora import LoraModel
from models.status import GenerationStatus, TrainingStage, TrainingStatus
from models.training import Training, TrainingEvent
from models.user import User
from services.ports import AssetKind, StoreUnavailable
from tests.fake_fal import no_waiting
from tests.fakes import MemoryStore
from tests.service.chain_stage import ChainStage
from tests.service.ledger import assert_sound
from tests.service.process import postings
from tests.service.webhook_stage import TRAINED, WEIGHTS, WEIGHTS_URL

REFUNDED, SPENT = [PostingKind.RESERVE, PostingKind.REFUND], [PostingKind.RESERVE, PostingKind.COMMIT]
TRAINER = "fal-ai/flux-lora-fast-training"
CONFIG_URL = "https://provider.example/config.json"
WITH_CONFIG = TRAINED | {"config_file": {"url": CONFIG_URL}}
ZIP_OF = {"images_data_url": "https://x.example/photos.zip"}
Moment = Callable[[], Awaitable[Any]]


@dataclass
class WatchedStore(MemoryStore):
    """Something happens after its first put; `absences` is how often it is away when a file is to be removed."""

    after_put: Moment | None = None
    absences: int = 0
    put_names: list[str] = field(default_factory=list)

    async def put(self, source: Path, *, kind: AssetKind, name: str, content_type: str) -> str:
        location = await super().put(source, kind=kind, name=name, content_type=content_type)
        self.put_names.append(name)
        moment, self.after_put = self.after_put, None
        if moment is not None:
            await moment()
        return location

    async def delete(self, location: str) -> None:
        if self.absences:
            self.absences -= 1
            raise StoreUnavailable("away")
        await super().delete(location)


@dataclass
class KeepingStage(ChainStage):
    """A process over a `WatchedStore`, whose provider has trained."""

    store: WatchedStore = field(default_factory=WatchedStore)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.provider.files |= {WEIGHTS_URL: WEIGHTS, CONFIG_URL: b"{}"}
        self.provider.results[TRAINER] = [WITH_CONFIG]


@pytest.fixture
async def stage(database: str, tmp_path: Path) -> AsyncIterator[KeepingStage]:
    """A stage on each kind of database; repeats come at once."""
    with no_waiting(), ThreadPoolExecutor(max_workers=1) as workers:
        yield KeepingStage(folder=tmp_path, workers=workers)


@pytest.fixture
async def owner(stage: KeepingStage) -> User:
    """Whose jobs they are."""
    return await stage.user()


async def test_a_picture_that_comes_after_the_cancel(
    stage: KeepingStage, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled while the result is read: the picture is not put into the store at all."""
    drawing, result = await stage.generation(owner), stage.provider.result

    async def cancelled_meanwhile(job: Any) -> Any:
        await stage.assembly.services.generation_changes.cancel(owner.id, drawing.id)
        return await result(job)

    monkeypatch.setattr(stage.provider, "result", cancelled_meanwhile)
    await stage.run_all()
    row = await Generation.get(id=drawing.id)
    assert (GenerationStatus.CANCELLED, None) == (row.status, row.location)
    assert (REFUNDED, []) == (await postings(row.id), stage.store.put_names)
    await assert_sound(owner.id)


@pytest.mark.parametrize("absences", [0, 2])
async def test_a_picture_that_was_just_put(stage: KeepingStage, owner: User, *, absences: int) -> None:
    """Cancelled between the put and the completion: it is removed, also when the store is away at first."""
    drawing = await stage.generation(owner)
    stage.store.after_put, stage.store.absences = lambda: stage.assembly.generations.cancel(drawing.id), absences
    await stage.run_all()
    assert GenerationStatus.CANCELLED is (await Generation.get(id=drawing.id)).status
    assert ({}, 1) == (stage.store.files, len(stage.store.put_names))


async def test_a_picture_that_another_execution_has_kept(stage: KeepingStage, owner: User) -> None:
    """The slower of two executions removes nothing of what the faster has completed."""
    drawing = await stage.generation(owner)
    stage.store.after_put = lambda: stage.assembly.generation_run.generate(drawing.id)
    await stage.assembly.generation_run.generate(drawing.id)
    row = await Generation.get(id=drawing.id)
    assert (GenerationStatus.COMPLETED, SPENT) == (row.status, await postings(row.id))
    assert ([row.location], 2) == (list(stage.store.files), len(stage.store.put_names))


async def test_a_picture_is_kept_once(stage: KeepingStage, owner: User) -> None:
    """A later execution of the same step puts nothing again."""
    [row] = await stage.drawn(owner, prompt="a portrait")
    await stage.assembly.generation_run.finish_late(row.id)
    assert 1 == len(stage.store.put_names)


@pytest.mark.parametrize("absences", [0, 2])
async def test_weights_that_were_just_put(stage: KeepingStage, owner: User, *, absences: int) -> None:
    """Weights and config of a cancelled training are removed."""
    training = await stage.training(owner, **ZIP_OF)
    stage.store.after_put, stage.store.absences = lambda: stage.assembly.trainings.cancel(training.id), absences
    await stage.run_all()
    model = await LoraModel.get(id=training.model_id)
    assert (TrainingStatus.CANCELLED, None, {}) == (model.status, model.weights_location, stage.store.files)
    assert [f"{model.id}.safetensors", f"{model.id}.json"] == stage.store.put_names
    assert REFUNDED == await postings(training.id)


async def test_weights_that_another_execution_has_kept(stage: KeepingStage, owner: User) -> None:
    """The slower of two executions removes nothing of what the faster has completed."""
    stage.provider.results[TRAINER] = [TRAINED]
    training = await stage.training(owner, **ZIP_OF)
    stage.store.after_put = lambda: stage.assembly.training_run.settle(training.id)
    for step in stage.assembly.training_run.run.steps:
        await step(training.id)
    model = await LoraModel.get(id=training.model_id)
    assert (TrainingStatus.COMPLETED, WEIGHTS) == (model.status, stage.store.files[model.weights_location or ""])
    assert 2 == len(stage.store.put_names)


async def test_a_training_cancelled_before_it_is_settled(stage: KeepingStage, owner: User) -> None:
    """Nothing of its result is fetched or put."""
    training = await stage.submitted(owner)
    await stage.assembly.services.training_changes.cancel(owner.id, training.id)
    await stage.assembly.training_run.settle(training.id)
    assert ([], TrainingStage.ARCHIVE_URL) == (stage.store.put_names, (await Training.get(id=training.id)).stage)


async def test_finalizing_is_not_left_again(stage: KeepingStage, owner: User) -> None:
    """What a process says that stood still meanwhile makes no event, and no cancel possible."""
    training = await stage.submitted(owner)
    await stage.assembly.trainings.progress(training.id, stage=TrainingStage.FINALIZING, message="Finalizing")
    before = await TrainingEvent.filter(training_id=training.id).count()
    said = await stage.assembly.trainings.progress(training.id, stage=TrainingStage.TRAINING, message="Step 900/1000")
    assert (None, before) == (said, await TrainingEvent.filter(training_id=training.id).count())
    with pytest.raises(AlreadyFinished):
        await stage.assembly.services.training_changes.cancel(owner.id, training.id)
    await stage.assembly.training_run.settle(training.id)
    assert TrainingStatus.COMPLETED is (await Training.get(id=training.id)).status
