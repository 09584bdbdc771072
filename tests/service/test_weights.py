"""Custody of the weights: cut files are fetched again, and what the provider has lost it is given again."""

import json
import struct
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from likeness.sandbox.app import create_sandbox
from models.errors import LikenessError, ProviderRejected, ResultUnusable, WeightsIncomplete
from models.generation import Generation, GenerationEvent
from models.lora import LoraModel
from models.status import GenerationStatus, TrainingStatus
from models.submission import Submission, SubmissionState
from models.training import Training
from models.user import User
from services.gateways.fal import FalProvider
from services.ports import Download, Ended
from services.training_finish import check_safetensors
from services.weights import weights_are_gone
from tests.fake_fal import no_waiting
from tests.fakes import FakeProvider, FixedClock
from tests.service.ledger import assert_sound
from tests.service.webhook_stage import DRAWN, TRAINED, WEIGHTS, WEIGHTS_URL, Stage

GONE = {"reason": "loras.0.path: Failed to download the file.", "type": "file_download_error", "status": 422}


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Repeats come at once."""
    with no_waiting():
        yield


@pytest.fixture
async def stage(owner: User, clock: FixedClock, tmp_path: Path) -> AsyncIterator[Stage]:
    """The services on each kind of database."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        yield Stage(folder=tmp_path, workers=workers, owner=owner, clock=clock)


def paths(stage: Stage) -> list[list[str]]:
    """The weights that each generation was asked for."""
    return [[lora["path"] for lora in asked["loras"]] for _, asked in stage.provider.submitted if "loras" in asked]


async def attempts(generation: Generation) -> list[tuple[int, SubmissionState]]:
    """The paid calls of a generation."""
    return [(row.attempt, row.state) for row in await Submission.filter(job_id=generation.id).order_by("attempt")]


@pytest.mark.parametrize("length", [0, 7, 8, 20, len(WEIGHTS) - 1])
async def test_cut_weights_are_fetched_again(stage: Stage, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """Wherever the file is cut, the second fetch is kept, and it is whole."""
    fetched = []

    async def cut_at_first(url: str, to: Path, *, limit: int) -> Download:
        fetched.append(url)
        stage.provider.files[url] = WEIGHTS if len(fetched) > 1 else WEIGHTS[:length]
        return await FakeProvider.download(stage.provider, url, to, limit=limit)

    monkeypatch.setattr(stage.provider, "download", cut_at_first)
    model = await stage.trained()
    assert [WEIGHTS_URL, WEIGHTS_URL] == fetched
    assert (TrainingStatus.COMPLETED, len(WEIGHTS)) == (model.status, model.weights_bytes)
    assert WEIGHTS == stage.store.files[model.weights_location or ""]


async def test_weights_that_stay_cut_fail_the_training(stage: Stage) -> None:
    """FAILED with a refund, and nothing of them is kept."""
    stage.provider.answers["request-1"] = TRAINED
    stage.provider.files[WEIGHTS_URL] = WEIGHTS[:-4]
    training = await stage.training()
    await stage.work()
    row = await Training.get(id=training.id)
    assert (TrainingStatus.FAILED, 0, {}) == (row.status, row.credits_spent, stage.store.files)
    assert "incomplete" in (row.error_message or "")


def header(text: bytes, *, rest: bytes = b"") -> bytes:
    """A file with this header."""
    return struct.pack("<Q", len(text)) + text + rest


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", WeightsIncomplete),
        (b"\x40" + b"\0" * 6, WeightsIncomplete),
        (header(b"{}" * 50)[:60], WeightsIncomplete),
        (WEIGHTS + b"\0", WeightsIncomplete),
        (b"<!doctype html><html></html>", ResultUnusable),
        (struct.pack("<Q", 1) + b"{", ResultUnusable),
        (header(b"not json"), ResultUnusable),
        (header(b"[1]"), ResultUnusable),
        (header(b"{}"), ResultUnusable),
        (header(json.dumps({"a": {"data_offsets": "ab"}}).encode()), ResultUnusable),
        (header(b'{"a": {"data_offsets": [0, ' + b"9" * 4300 + b"]}}"), WeightsIncomplete),
        (header(b'{"a": {"data_offsets": [0, ' + b"9" * 4301 + b"]}}"), ResultUnusable),
    ],
)
def test_what_is_no_weights_file(tmp_path: Path, content: bytes, error: type[LikenessError]) -> None:
    """A file that is only cut may be whole next time; another format is for good."""
    (tmp_path / "weights").write_bytes(content)
    with pytest.raises(ResultUnusable) as refused:
        check_safetensors(tmp_path / "weights")
    assert error is type(refused.value)


async def test_lost_weights_are_handed_over_again(stage: Stage) -> None:
    """The same generator is asked once more with our own copy, as a second attempt; the model keeps the address."""
    model = await stage.trained()
    stage.provider.errors["request-2"] = ProviderRejected(**GONE)
    stage.provider.answers["request-3"] = DRAWN
    generation = await stage.generation(model)
    await stage.work()
    row, model = await Generation.get(id=generation.id), await LoraModel.get(id=model.id)
    assert (GenerationStatus.COMPLETED, 2) == (row.status, row.credits_spent)
    assert [(0, SubmissionState.FAILED), (1, SubmissionState.DONE)] == await attempts(generation)
    assert [[WEIGHTS_URL], [model.provider_weights_url]] == paths(stage)
    assert WEIGHTS == stage.provider.files[model.provider_weights_url or ""] != WEIGHTS_URL
    said = await GenerationEvent.filter(generation_id=generation.id).values_list("message", flat=True)
    assert "Giving the model's weights to the provider again" in said
    await assert_sound(stage.owner.id)


async def test_the_next_generation_uses_the_new_address(stage: Stage) -> None:
    """One hand-over serves all that follow."""
    model = await stage.trained()
    stage.provider.errors["request-2"] = ProviderRejected(**GONE)
    stage.provider.answers |= {"request-3": DRAWN, "request-4": DRAWN}
    await stage.generation(model)
    await stage.work()
    generation = await stage.generation(model)
    await stage.work()
    assert [(0, SubmissionState.DONE)] == await attempts(generation)
    assert paths(stage)[-1] == paths(stage)[-2]


async def test_a_run_that_is_repeated_hands_over_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash after the hand-over: the run starts again, sends nothing twice and uploads nothing twice."""
    model, uploads = await stage.trained(), []

    async def upload(path: Path, **options: Any) -> str:
        uploads.append(path.name)
        return await FakeProvider.upload(stage.provider, path, **options)

    monkeypatch.setattr(stage.provider, "upload", upload)
    stage.provider.errors["request-2"] = ProviderRejected(**GONE)
    generation = await stage.generation(model)
    with pytest.raises(KeyError):  # the second attempt has no answer yet, as if the process had died there
        await stage.assembly.generation_run.generate(generation.id)
    stage.provider.answers["request-3"] = DRAWN
    await stage.work()
    assert GenerationStatus.COMPLETED is (await Generation.get(id=generation.id)).status
    assert ([f"{model.id}.safetensors"], 2) == (uploads, len(paths(stage)))
    assert [] == list(stage.folder.glob("handover-*"))


async def test_weights_are_handed_over_only_once(stage: Stage) -> None:
    """When the fresh copy is refused too, the generation fails, with a refund and after two calls."""
    model = await stage.trained()
    stage.provider.errors |= {"request-2": ProviderRejected(**GONE), "request-3": ProviderRejected(**GONE)}
    generation = await stage.generation(model)
    await stage.work()
    row = await Generation.get(id=generation.id)
    assert (GenerationStatus.FAILED, 0) == (row.status, row.credits_spent)
    assert [(0, SubmissionState.FAILED), (1, SubmissionState.FAILED)] == await attempts(generation)
    await assert_sound(stage.owner.id)


async def test_our_own_copy_is_missing(stage: Stage) -> None:
    """Nothing can be handed over: FAILED with a refund after one call."""
    model = await stage.trained()
    stage.store.files.clear()
    stage.provider.errors["request-2"] = ProviderRejected(**GONE)
    generation = await stage.generation(model)
    await stage.work()
    row = await Generation.get(id=generation.id)
    assert (GenerationStatus.FAILED, 0, 1) == (row.status, row.credits_spent, len(paths(stage)))


async def test_other_refusals_hand_nothing_over(stage: Stage) -> None:
    """A refused prompt fails at once: asking again would be of no use."""
    model = await stage.trained()
    stage.provider.errors["request-2"] = ProviderRejected(reason="prompt: flagged", type="content_policy_violation")
    generation = await stage.generation(model)
    await stage.work()
    assert [(0, SubmissionState.FAILED)] == await attempts(generation)
    assert WEIGHTS_URL == (await LoraModel.get(id=model.id)).provider_weights_url


async def test_a_picture_without_weights_goes_down_its_chain(stage: Stage) -> None:
    """What could not be downloaded was no model of ours: the next generator of the chain is asked."""
    stage.provider.errors["request-1"] = ProviderRejected(**GONE)
    stage.provider.answers["request-2"] = DRAWN
    generation = await stage.generation()
    await stage.work()
    rows = await Submission.filter(job_id=generation.id).order_by("attempt")
    assert ["fal-ai/realistic-vision-v5", "fal-ai/fast-sdxl"] == [row.model for row in rows]


async def test_the_providers_words_for_lost_weights(tmp_path: Path) -> None:
    """The sandbox refuses weights it does not have in fal's form, and that is recognised."""
    time = [1_800_000_000.0]
    app = create_sandbox(tmp_path, now=lambda: time[0])
    provider = FalProvider.sandbox(app)
    loras = [{"path": "https://v3.fal.media/files/gone.safetensors", "scale": 1}]
    async with app.router.lifespan_context(app):
        job = await provider.submit("fal-ai/flux-lora", {"prompt": "a portrait", "loras": loras})
        time[0] += 60
        assert Ended() == await provider.status(job)
        with pytest.raises(ProviderRejected) as refused:
            await provider.result(job)
    await provider.close()
    assert weights_are_gone(refused.value)
    assert not weights_are_gone(ProviderRejected(reason="prompt: flagged", type="content_policy_violation"))
