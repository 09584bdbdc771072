"""The chain against a provider that fails each way: one charge, every attempt noted, a refund when all fail."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from likeness.db import connected
from models.errors import (
    LikenessError,
    MissingFalKey,
    ProviderBalanceExhausted,
    ProviderKeyRefused,
    ProviderRejected,
)
from models.generation import Generation, GenerationEvent
from models.status import GenerationStatus, GenerationType
from models.submission import Submission
from models.user import User
from services.call_failures import explained
from services.generation_input import GenerationInput
from services.ports import ProviderJob
from services.presets import seed_presets
from services.source_photo import LIFE
from tests.fakes import NOON
from tests.service.chain_stage import BLOCKED, IMAGES, ChainStage, attempts, stage_in
from tests.service.ledger import assert_sound
from tests.service.process import DAILY, IMAGE_PRICE, postings
from tests.service.rows import user

GHIBLI, REALISTIC, SDXL = "fal-ai/ghiblify", "fal-ai/realistic-vision", "fal-ai/fast-sdxl"
REDRAW = f"{SDXL}/image-to-image"
FLUX = "fal-ai/flux-lora"
BROKEN = {"reason": "the model failed.", "type": "internal_server_error"}


@pytest.fixture
async def stage(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[ChainStage]:
    """A process on SQLite: the rules of the rows are proved on both databases elsewhere."""
    async with connected(sqlite_database_url), stage_in(tmp_path) as stage:
        yield stage


@pytest.fixture
async def owner(stage: ChainStage) -> User:
    """Somebody with credits."""
    return await user()


async def reaction(stage: ChainStage, owner: User, **wanted: Any) -> Generation:
    """A Ghibli reaction to a photo."""
    photo = await stage.photo(owner, content=b"photo")
    [row] = await stage.drawn(owner, preset="ghibli_tears", source_photo=photo.id, **wanted)
    return row


async def test_the_first_model_answers(stage: ChainStage, owner: User) -> None:
    """ghiblify is asked with the photo alone and answers with `image`; the file has the seed's name."""
    row = await reaction(stage, owner, run_id="run-1")
    assert (GenerationStatus.COMPLETED, "fal-ai/ghiblify") == (row.status, row.model)
    assert [(GHIBLI, "DONE")] == await attempts(row)
    [(_, sent)] = stage.provider.submitted
    assert {"image_url", "seed"} == set(sent)
    assert b"photo" == stage.provider.files[sent["image_url"]]
    assert ["image/ghibli_run-1.jpg"] == [name for name in stage.store.files if name.startswith("image/")]
    assert [] == [path.name for path in stage.folder.iterdir() if path.name.startswith("source-")]


async def test_the_fallback_keeps_the_photo(stage: ChainStage, owner: User) -> None:
    """The text model is noted as skipped, and the last one redraws the same photo; one charge for the whole chain."""
    stage.provider.results[GHIBLI] = [ProviderRejected(**BROKEN)]
    row = await reaction(stage, owner)
    assert [(GHIBLI, "FAILED"), (REALISTIC, "SKIPPED"), (REDRAW, "DONE")] == await attempts(row)
    skipped = await Submission.get(job_id=row.id, attempt=1)
    assert ("Skipped: it takes no photo.", "fal-ai/realistic-vision-v5") == (skipped.error, skipped.model)
    first, second = [sent for _, sent in stage.provider.submitted]
    assert first["image_url"] == second["image_url"]  # the fake's addresses are hashes of the content
    assert row.type.kind.strength == second["strength"]
    assert (GenerationStatus.COMPLETED, "fal-ai/fast-sdxl", IMAGE_PRICE) == (row.status, row.model, row.credits_spent)
    assert DAILY - IMAGE_PRICE == await stage.spendable(owner)
    assert ["RESERVE", "COMMIT"] == [kind.value for kind in await postings(row.id)]


async def test_all_fail(stage: ChainStage, owner: User) -> None:
    """FAILED with the last reason, and everything is given back once."""
    stage.provider.results = {
        GHIBLI: [ProviderRejected(**BROKEN)],
        REDRAW: [ProviderRejected(reason="too slow.", type="generation_timeout")],
    }
    row = await reaction(stage, owner)
    assert (GenerationStatus.FAILED, "PROVIDER_TIMEOUT", True, 0) == (
        row.status, row.error_code, row.error_retryable, row.credits_spent,
    )  # fmt: skip
    assert "The image provider took too long: too slow." == row.error_message
    assert ["FAILED", "SKIPPED", "FAILED"] == [state for _, state in await attempts(row)]
    assert ["RESERVE", "REFUND"] == [kind.value for kind in await postings(row.id)]
    assert DAILY == await stage.spendable(owner)
    await assert_sound(owner.id)


async def test_content_rules_are_not_gone_around(stage: ChainStage, owner: User) -> None:
    """No other model is asked for what the first one rightly refused."""
    stage.provider.results[REALISTIC] = [ProviderRejected(reason="flagged.", type="content_policy_violation")]
    [row] = await stage.drawn(owner, prompt="a cat")
    assert [(REALISTIC, "FAILED")] == await attempts(row)
    assert ("CONTENT_REFUSED", False) == (row.error_code, row.error_retryable)
    assert DAILY == await stage.spendable(owner)


@pytest.mark.parametrize(
    "failure", [ProviderKeyRefused(reason="x"), MissingFalKey(), ProviderBalanceExhausted(reason="x")], ids=str
)
async def test_no_model_can_help_without_an_account(stage: ChainStage, owner: User, *, failure: Exception) -> None:
    """The key or the balance is not the model's: the chain ends."""
    stage.provider.posts[REALISTIC] = [failure]
    [row] = await stage.drawn(owner, prompt="a cat")
    assert GenerationStatus.FAILED is row.status
    assert ([(REALISTIC, "FAILED")], []) == (await attempts(row), stage.provider.submitted)
    assert DAILY == await stage.spendable(owner)


async def test_a_refused_post_is_a_known_failure(stage: ChainStage, owner: User) -> None:
    """A 422 on the POST leads to the next model."""
    stage.provider.posts[REALISTIC] = [ProviderRejected(reason="prompt: too long", type="value_error")]
    [row] = await stage.drawn(owner, prompt="a cat")
    assert [(REALISTIC, "FAILED"), (SDXL, "DONE")] == await attempts(row)
    assert "fal-ai/fast-sdxl" == row.model


@pytest.mark.parametrize(
    "result",
    [
        {"images": []},
        {},
        {"images": [{"url": ""}]},
        {"images": [{"url": f"https://provider.example/{'a' * 2000}"}]},
        {"images": [{"url": "https://provider.example/\ud800"}]},
        {"images": [{"url": "https://provider.example/\0"}]},
    ],
    ids=lambda result: ascii(result)[:80],
)
async def test_a_result_without_an_image_is_a_known_failure(
    stage: ChainStage, owner: User, *, result: dict[str, Any]
) -> None:
    """What names no image, or none that can be fetched and written down, leads to the next model."""
    stage.provider.results[REALISTIC] = [result]
    [row] = await stage.drawn(owner, prompt="a cat")
    assert [(REALISTIC, "FAILED"), (SDXL, "DONE")] == await attempts(row)


async def test_a_blocked_image_is_refunded_alone(stage: ChainStage, owner: User) -> None:
    """The others of the request stay, and no model with a weaker filter is asked."""
    stage.provider.results[REALISTIC] = [IMAGES, BLOCKED, IMAGES]
    drawn = await stage.drawn(owner, prompt="a cat", num_images=3)
    assert ["COMPLETED", "FAILED", "COMPLETED"] == [row.status.value for row in drawn]
    assert (None, "CONTENT_REFUSED", None) == tuple(row.error_code for row in drawn)
    assert [IMAGE_PRICE, 0, IMAGE_PRICE] == [row.credits_spent for row in drawn]
    assert DAILY - 2 * IMAGE_PRICE == await stage.spendable(owner)
    assert [[(REALISTIC, state)] for state in ("DONE", "FAILED", "DONE")] == [await attempts(row) for row in drawn]


@pytest.mark.parametrize(
    ("flag", "status"), [(True, "FAILED"), (False, "COMPLETED"), (None, "COMPLETED"), ([None], "COMPLETED")], ids=str
)
async def test_the_safety_checkers_word(stage: ChainStage, owner: User, *, flag: object, status: str) -> None:
    """It may come for the request instead of for each image."""
    stage.provider.results[REALISTIC] = [IMAGES | {"has_nsfw_concepts": flag}]
    [row] = await stage.drawn(owner, prompt="a cat")
    assert (status, 1) == (row.status.value, len(stage.provider.submitted))
    assert ("CONTENT_REFUSED" if flag is True else None) == row.error_code


async def test_trained_models_never_reach_another_family(stage: ChainStage, owner: User) -> None:
    """When the family's generator fails there is no fallback: FLUX weights do not fit Stable Diffusion."""
    stage.provider.results[FLUX] = [ProviderRejected(**BROKEN)]
    [row] = await stage.drawn(owner, await stage.model(owner), prompt="a cat")
    assert ([(FLUX, "FAILED")], GenerationStatus.FAILED) == (await attempts(row), row.status)


async def test_several_models(stage: ChainStage, owner: User) -> None:
    """All trigger words first, all weights with their scales."""
    models = [await stage.model(owner, trigger_word=word) for word in ("ME_1", "YOU_2")]
    [row] = await stage.drawn(owner, *models, preset="portrait_film", steps=30, guidance=4.0, format="jpeg")
    [(endpoint, sent)] = stage.provider.submitted
    assert (FLUX, GenerationType.PRESET) == (endpoint, row.type)
    assert sent["prompt"].startswith("ME_1, YOU_2, portrait on 35mm colour film")
    assert [1.0, 1.0] == [lora["scale"] for lora in sent["loras"]]
    assert (30, 4.0, "jpeg") == (sent["num_inference_steps"], sent["guidance_scale"], sent["output_format"])


async def test_image_to_image_with_a_trained_model(stage: ChainStage, owner: User) -> None:
    """The photo lies at the provider for a day, and never under an address of ours."""
    photo = await stage.photo(owner, content=b"photo")
    [row] = await stage.drawn(owner, await stage.model(owner), prompt="a cat", source_photo=photo.id)
    assert [(f"{FLUX}/image-to-image", "DONE")] == await attempts(row)
    [(_, sent)] = stage.provider.submitted
    assert (0.85, 1) == (sent["strength"], LIFE.days)
    assert not any("assets.example" in str(value) for value in sent.values())


async def test_a_photo_the_provider_lost_is_uploaded_again(stage: ChainStage, owner: User) -> None:
    """The same model is asked once more, with a fresh upload."""
    stage.provider.results[GHIBLI] = [ProviderRejected(reason="gone", type="file_download_error")]
    row = await reaction(stage, owner)
    assert [(GHIBLI, "FAILED"), (GHIBLI, "DONE")] == await attempts(row)
    assert 2 == stage.provider.uploads


async def test_a_photo_that_is_lost_for_good(stage: ChainStage, owner: User) -> None:
    """Once more only; then the next model, then a refund with a reason that invites another try."""
    gone = ProviderRejected(reason="gone", type="file_download_error")
    stage.provider.results = {GHIBLI: [gone, gone], REDRAW: [gone, gone]}
    row = await reaction(stage, owner)
    assert ["FAILED", "FAILED", "SKIPPED", "FAILED"] == [state for _, state in await attempts(row)]
    assert ("PROVIDER_UNAVAILABLE", True) == (row.error_code, row.error_retryable)


async def test_our_copy_of_the_photo_is_gone(stage: ChainStage, owner: User) -> None:
    """Nothing is asked of the provider, and everything is given back."""
    photo = await stage.photo(owner)
    stage.store.files.clear()
    [row] = await stage.drawn(owner, preset="ghibli_tears", source_photo=photo.id)
    assert (GenerationStatus.FAILED, []) == (row.status, stage.provider.submitted)
    assert "the photo is missing" in (row.error_message or "")
    assert DAILY == await stage.spendable(owner)


@pytest.mark.parametrize("moment", ["submit", "status"])
async def test_after_a_crash_the_chain_goes_on(stage: ChainStage, owner: User, *, moment: str) -> None:
    """The models that were asked are not asked again, and the photo of a begun attempt is not uploaded again."""
    stage.provider.results[GHIBLI] = [ProviderRejected(**BROKEN)]
    photo = await stage.photo(owner, content=b"photo")
    run = stage.assembly.generation_run

    async def crash() -> None:
        stage.provider.during[moment] = die  # of the second model's call

    async def die() -> None:
        raise asyncio.CancelledError

    stage.provider.during[moment] = crash
    wanted = GenerationInput(preset="ghibli_tears", source_photo=photo.id)
    [row] = await stage.assembly.generation.start(owner.id, wanted)
    with pytest.raises(asyncio.CancelledError):
        await run.generate(row.id)
    uploads = stage.provider.uploads
    await run.generate(row.id)
    assert [(GHIBLI, "FAILED"), (REALISTIC, "SKIPPED"), (REDRAW, "DONE")] == await attempts(row)
    assert [GHIBLI, REDRAW] == [endpoint for endpoint, _ in stage.provider.submitted]
    assert uploads == stage.provider.uploads
    assert ["RESERVE", "COMMIT"] == [kind.value for kind in await postings(row.id)]


async def crashed_at_the_second(stage: ChainStage, owner: User) -> Generation:
    """ghiblify failed by its result, and the process died when the next model was asked how it goes."""
    stage.provider.results[GHIBLI] = [ProviderRejected(**BROKEN)]
    photo = await stage.photo(owner, content=b"photo")

    async def crash() -> None:
        stage.provider.during["status"] = die

    async def die() -> None:
        raise asyncio.CancelledError

    stage.provider.during["status"] = crash
    wanted = GenerationInput(preset="ghibli_tears", source_photo=photo.id)
    [row] = await stage.assembly.generation.start(owner.id, wanted)
    with pytest.raises(asyncio.CancelledError):
        await stage.assembly.generation_run.generate(row.id)
    return row


async def test_what_has_failed_is_not_asked_about_again(
    stage: ChainStage, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider may have forgotten it: after a crash the chain hears of the failure from the row."""
    row, asked = await crashed_at_the_second(stage, owner), []
    result = stage.provider.result

    async def forgotten(job: ProviderJob) -> Any:
        asked.append(job.request_id)
        return await result(job)

    monkeypatch.setattr(stage.provider, "result", forgotten)
    await stage.assembly.generation_run.generate(row.id)
    assert ["request-2"] == asked
    assert [(GHIBLI, "FAILED"), (REALISTIC, "SKIPPED"), (REDRAW, "DONE")] == await attempts(row)
    assert GenerationStatus.COMPLETED is (await Generation.get(id=row.id)).status


async def test_a_reason_does_not_grow(stage: ChainStage, owner: User) -> None:
    """However often the chain is begun again, the attempt shows the sentence of its failure once."""
    row = await crashed_at_the_second(stage, owner)
    await stage.assembly.generation_run.generate(row.id)
    call = await Submission.get(job_id=row.id, attempt=0)
    assert ("the model failed.", "internal_server_error") == (call.error, call.error_type)
    assert "The image provider refused the request: the model failed." == explained(call)


@pytest.mark.parametrize(
    "refusal",
    [BLOCKED, ProviderRejected(reason="flagged.", type="content_policy_violation"), ProviderKeyRefused(reason="x")],
    ids=["blocked", "policy", "key"],
)
async def test_a_stop_stays_one_after_a_crash(stage: ChainStage, owner: User, *, refusal: Any) -> None:
    """A process that died before it ended the generation does not make the next model draw."""
    asks = stage.provider.posts if isinstance(refusal, ProviderKeyRefused) else stage.provider.results
    asks[REALISTIC] = [refusal]
    [row] = await stage.assembly.generation.start(owner.id, GenerationInput(prompt="a cat"))
    failures = []
    for _ in range(3):
        with pytest.raises(LikenessError) as failed:
            await stage.assembly.generation_run.generate(row.id)
        failures.append((type(failed.value), failed.value.message))
    assert 1 == len(set(failures))
    assert [(REALISTIC, "FAILED")] == await attempts(row)


async def test_an_alias_of_the_operator(stage: ChainStage, owner: User) -> None:
    """The wire has the provider's name, the answer ours."""
    aliases = {"fal-ai/realistic-vision-v5": "fal-ai/realistic-vision-6"}
    settings = stage.assembly.settings.model_copy(update={"fal_model_aliases": aliases})
    stage.assembly.settings = settings
    [row] = await stage.drawn(owner, prompt="a cat")
    assert [("fal-ai/realistic-vision-6", "DONE")] == await attempts(row)
    assert "fal-ai/realistic-vision-v5" == row.model


async def test_the_chain_of_a_request_is_kept_with_it(stage: ChainStage, owner: User) -> None:
    """A preset that changes or is switched off meanwhile changes nothing for what was accepted."""
    [row] = await stage.assembly.generation.start(owner.id, GenerationInput(preset="portrait_film"))
    await stage.assembly.presets.switch("portrait_film", on=False)
    await stage.run_all()
    row = await Generation.get(id=row.id)
    assert (GenerationStatus.COMPLETED, "portrait_film") == (row.status, row.preset_key)
    [(_, sent)] = stage.provider.submitted
    assert "blurry" in sent["negative_prompt"]


async def test_events_name_each_model(stage: ChainStage, owner: User) -> None:
    """Who follows sees which model is asked."""
    stage.provider.results[GHIBLI] = [ProviderRejected(**BROKEN)]
    row = await reaction(stage, owner)
    said = await GenerationEvent.filter(generation_id=row.id).order_by("seq").values_list("message", flat=True)
    expected = ["Asking fal-ai/ghiblify", "Asking fal-ai/fast-sdxl"]
    assert expected == [message for message in said if message.startswith("Asking")]


async def test_the_same_on_both_databases(database: str, tmp_path: Path) -> None:
    """A chain with a skipped model, on SQLite and PostgreSQL."""
    await seed_presets(now=NOON)
    async with stage_in(tmp_path) as stage:
        someone = await user()
        stage.provider.results[GHIBLI] = [ProviderRejected(**BROKEN)]
        row = await reaction(stage, someone)
        assert [(GHIBLI, "FAILED"), (REALISTIC, "SKIPPED"), (REDRAW, "DONE")] == await attempts(row)
        await assert_sound(someone.id)
