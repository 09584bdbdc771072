"""The config beside the weights: without a usable one a model is complete all the same."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from models.errors import ProviderError, ProviderJobGone, ProviderRejected, ProviderUnavailable
from models.lora import LoraModel
from models.status import TrainingStatus
from models.training import Training
from models.user import User
from services.ports import AssetKind, Download, StoreRefused, StoreUnavailable
from tests.fake_fal import no_waiting
from tests.fakes import FakeProvider, FixedClock, MemoryStore
from tests.service.webhook_stage import TRAINED, WEIGHTS, WEIGHTS_URL, Stage

CONFIG_URL, CONFIG = "https://provider.example/config.json", b'{"steps": 1000}'


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Repeats come at once, and what is logged of them is not written out."""
    with no_waiting(), capture_logs():
        yield


@pytest.fixture
async def stage(owner: User, clock: FixedClock, tmp_path: Path) -> AsyncIterator[Stage]:
    """The services on each kind of database, with a provider that names a config."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        stage = Stage(folder=tmp_path, workers=workers, owner=owner, clock=clock)
        stage.provider.files[CONFIG_URL] = CONFIG
        yield stage


async def trained(stage: Stage, *, config: str = CONFIG_URL) -> LoraModel:
    """What became of a training whose weights are sound."""
    stage.provider.answers["request-1"] = TRAINED | {"config_file": {"url": config}}
    training = await stage.training()
    await stage.work()
    row = await Training.get(id=training.id)
    model = await LoraModel.get(id=row.model_id)
    assert (TrainingStatus.COMPLETED, 20) == (row.status, row.credits_spent)
    assert WEIGHTS == stage.store.files[model.weights_location or ""]
    return model


async def test_it_is_kept(stage: Stage) -> None:
    """A config of ours lies beside the weights."""
    model = await trained(stage)
    assert CONFIG == stage.store.files[model.config_location or ""]


@pytest.mark.parametrize(
    "error",
    [
        ProviderJobGone(reason="its file has been deleted."),
        ProviderRejected(reason="an output is larger than 1048576 bytes.", type="file_too_large"),
        ProviderUnavailable(reason="an output answered with 503."),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_the_provider_does_not_give_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, error: ProviderError
) -> None:
    """The weights are kept and paid for without it."""

    async def download(url: str, to: Path, *, limit: int) -> Download:
        if url == CONFIG_URL:
            raise error
        return await FakeProvider.download(stage.provider, url, to, limit=limit)

    monkeypatch.setattr(stage.provider, "download", download)
    model = await trained(stage)
    assert (None, 1) == (model.config_location, len(stage.store.files))


@pytest.mark.parametrize("times", [2, 1000])
@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreRefused("no such files")], ids=str)
async def test_the_store_does_not_take_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, error: Exception, times: int
) -> None:
    """A store that is away is asked again; when it takes the config in the end it is kept, else left out."""
    left = [error] * times

    async def put(source: Path, *, kind: AssetKind, name: str, content_type: str) -> str:
        if name.endswith(".json") and left:
            raise left.pop()
        return await MemoryStore.put(stage.store, source, kind=kind, name=name, content_type=content_type)

    monkeypatch.setattr(stage.store, "put", put)
    model = await trained(stage)
    waited_for = times == 2 and isinstance(error, StoreUnavailable)
    assert waited_for == (model.config_location is not None)


async def test_an_address_that_no_column_holds(stage: Stage) -> None:
    """A config's is left out; weights without a usable address fail the training with a reason."""
    model = await trained(stage, config=CONFIG_URL + "?" + "a" * 2000)
    assert (None, None) == (model.provider_config_url, model.config_location)
    stage.provider.answers["request-2"] = {"diffusers_lora_file": {"url": WEIGHTS_URL + "?" + "a" * 2000}}
    training = await stage.training()
    await stage.work()
    row = await Training.get(id=training.id)
    assert (TrainingStatus.FAILED, 0) == (row.status, row.credits_spent)
    assert "The result could not be used: it names no weights file." == row.error_message
