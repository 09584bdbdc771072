"""Which model is asked, which is passed over and why, and what follows a failure: pure rules."""

from typing import Any

import pytest

from models.errors import (
    ContentRefused,
    ErrorCode,
    ImageBlocked,
    InvalidInput,
    LikenessError,
    MissingFalKey,
    ProviderBalanceExhausted,
    ProviderRejected,
    ResultUnusable,
)
from models.generation_types import REACTION_CHAIN, TEXT_CHAIN
from services.chains import Next, Request, after, check, models_for, plan, told
from services.generators import ALIASES, GENERATORS, wire_name
from services.trainers import TRAINERS

FLUX = "fal-ai/flux-lora"


def planned(models: tuple[str, ...], **request: Any) -> list[tuple[str, str | None]]:
    """The names of a plan with the reasons why they are skipped."""
    return [(step.name, step.skip) for step in plan(models, Request(**request))]


def test_a_photo_is_never_dropped() -> None:
    """The seed's chain with a photo: the text model is passed over with a reason, the last one redraws it."""
    expected = [
        ("fal-ai/ghiblify", None),
        ("fal-ai/realistic-vision-v5", "it takes no photo"),
        ("fal-ai/fast-sdxl", None),
    ]
    assert expected == planned(REACTION_CHAIN, photo=True)
    redraws = GENERATORS["fal-ai/fast-sdxl"].endpoint(photo=True)
    assert redraws is not None
    assert "fal-ai/fast-sdxl/image-to-image" == redraws.name


def test_words_of_the_user_are_never_dropped() -> None:
    """ghiblify reads no words: what the user wrote goes to the next model that does."""
    assert ("fal-ai/ghiblify", "it takes no prompt") == planned(REACTION_CHAIN, photo=True, words=True)[0]


def test_without_a_photo_the_text_models_are_asked() -> None:
    """And a model that only redraws is passed over."""
    assert [(name, None) for name in TEXT_CHAIN] == planned(TEXT_CHAIN, words=True)
    assert [("fal-ai/ghiblify", "it needs a photo")] == planned(("fal-ai/ghiblify",))


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("photo", [False, True])
def test_flux_weights_never_reach_another_family(name: str, *, photo: bool) -> None:
    """Only the family's own generator takes trained models."""
    [(_, skip)] = planned((name,), photo=photo, words=True, family=FLUX)
    assert (skip is None) == (name == FLUX)


@pytest.mark.parametrize("key", TRAINERS)
def test_trained_models_go_to_the_generator_of_their_family(key: str) -> None:
    """Whatever the chain says, no other model is asked."""
    generator = TRAINERS[key].generator
    assert (generator,) == models_for(TEXT_CHAIN, generator)
    assert [(generator, None)] == planned((generator,), words=True, family=generator)


def test_a_number_beyond_a_later_model_passes_it_over() -> None:
    """The fallback honours the request or is not asked."""
    expected = [("fal-ai/realistic-vision-v5", None), ("fal-ai/fast-sdxl", "steps must be from 1 to 50")]
    assert expected == planned(TEXT_CHAIN, words=True, parameters={"steps": 60})


@pytest.mark.parametrize(
    ("models", "request_facts", "field", "sentence"),
    [
        (("fal-ai/realistic-vision-v5",), {"photo": True}, "sourcePhotoId", "it takes no photo"),
        (("fal-ai/flux-krea-lora",), {"photo": True, "family": "fal-ai/flux-krea-lora"}, "sourcePhotoId", "no photo"),
        (("fal-ai/ghiblify",), {}, "sourcePhotoId", "needs a photo"),
        (("fal-ai/ghiblify",), {"photo": True, "words": True}, "prompt", "takes no prompt"),
        (TEXT_CHAIN, {"family": FLUX}, "modelId", "do not fit"),
        (TEXT_CHAIN, {"parameters": {"steps": 71}}, "steps", "from 1 to 70 for fal-ai/realistic-vision-v5"),
        (TEXT_CHAIN, {"parameters": {"guidance": 20.1}}, "guidance", "from 0 to 20"),
        ((FLUX,), {"photo": True, "parameters": {"strength": 0.001}}, "strength", "from 0.01 to 1"),
        (REACTION_CHAIN, {"photo": True, "parameters": {"steps": 9}}, "steps", "is not taken for fal-ai/ghiblify"),
        (REACTION_CHAIN, {"photo": True, "parameters": {"format": "png"}}, "format", "is not taken"),
    ],
)
def test_what_no_model_can_do_is_refused_before_it_is_paid(
    models: tuple[str, ...], request_facts: dict[str, Any], field: str, sentence: str
) -> None:
    """With the field and the model's own limit."""
    with pytest.raises(InvalidInput, match=sentence) as refused:
        check(models, Request(**request_facts))
    assert ("input", field) == refused.value.path


@pytest.mark.parametrize(
    ("failure", "lost", "again", "expected"),
    [
        (ProviderRejected(reason="broken", type="internal_server_error"), False, False, Next.NEXT),
        (ProviderRejected(reason="torn", type="image_load_error"), False, False, Next.NEXT),
        (ProviderRejected(reason="slow", type="generation_timeout"), False, False, Next.NEXT),
        (ProviderRejected(reason="gone", type="file_download_error"), True, False, Next.SAME),
        (ProviderRejected(reason="gone", type="file_download_error"), True, True, Next.NEXT),
        (ProviderRejected(reason="flagged", type="content_policy_violation"), False, False, Next.STOP),
        (ProviderRejected(reason="flagged", type="content_policy_violation"), True, False, Next.STOP),
        (ResultUnusable(reason="torn"), False, False, Next.NEXT),
        (ImageBlocked(), False, False, Next.STOP),
    ],
)  # fmt: skip
def test_what_follows_a_failure(failure: LikenessError, *, lost: bool, again: bool, expected: Next) -> None:
    """The next model, the same with files of ours once, or the end: no filter is gone around."""
    assert expected is after(failure, files_lost=lost, given_again=again)


@pytest.mark.parametrize(
    ("type", "code", "retryable"),
    [
        ("content_policy_violation", ErrorCode.CONTENT_REFUSED, False),
        ("image_load_error", ErrorCode.IMAGE_UNREADABLE, False),
        ("image_too_small", ErrorCode.IMAGE_UNREADABLE, False),
        ("face_detection_error", ErrorCode.IMAGE_UNREADABLE, False),
        ("file_download_error", ErrorCode.PROVIDER_UNAVAILABLE, True),
        ("generation_timeout", ErrorCode.PROVIDER_TIMEOUT, True),
        ("value_error", ErrorCode.PROVIDER_REJECTED, False),
        (None, ErrorCode.PROVIDER_REJECTED, False),
    ],
)
def test_the_providers_types_become_codes(type: str | None, code: ErrorCode, *, retryable: bool) -> None:
    """Something a frontend can act on, and the provider's own reason in the message."""
    error = told(ProviderRejected(reason="because.", type=type))
    assert (code, retryable, True) == (error.code, error.retryable, error.message.endswith("because."))


def test_an_account_without_balance_may_work_later() -> None:
    """The operator settles it; the class itself is not changed."""
    assert (ErrorCode.PROVIDER_UNAVAILABLE, True) == (
        told(ProviderBalanceExhausted(reason="x")).code, told(ProviderBalanceExhausted(reason="x")).retryable,
    )  # fmt: skip
    assert not ProviderBalanceExhausted.retryable


def test_other_failures_stay_what_they_are() -> None:
    """Only refusals carry a type."""
    failure = MissingFalKey()
    assert failure is told(failure)
    assert isinstance(told(ProviderRejected(reason="x", type="content_policy_violation")), ContentRefused)


def test_the_seeds_names_are_public_and_their_aliases_on_the_wire() -> None:
    """`-v5` does not exist at the provider; a setting goes before our table."""
    realistic = GENERATORS["fal-ai/realistic-vision-v5"].text
    assert realistic is not None
    assert {"fal-ai/realistic-vision-v5": "fal-ai/realistic-vision"} == ALIASES
    assert "fal-ai/realistic-vision" == wire_name(realistic, {})
    assert "fal-ai/other" == wire_name(realistic, {"fal-ai/realistic-vision-v5": "fal-ai/other"})
    assert {"fal-ai/ghiblify", "fal-ai/realistic-vision-v5", "fal-ai/fast-sdxl"} <= set(GENERATORS)


def test_what_a_redrawing_model_is_sent() -> None:
    """The photo's address, the strength and the numbers under the provider's names, and nothing it does not take."""
    sent = GENERATORS[FLUX].arguments(
        prompt="a", size="square", seed=7, photo_url="https://x.example/p", strength=0.5, steps=9, guidance=0.0,
        format="jpeg", negative_prompt="b",
    )  # fmt: skip
    expected = {
        "prompt": "a", "image_size": "square", "num_images": 1, "seed": 7, "num_inference_steps": 9,
        "guidance_scale": 0.0, "strength": 0.5, "output_format": "jpeg", "image_url": "https://x.example/p",
    }  # fmt: skip
    assert expected == sent
    ghibli = GENERATORS["fal-ai/ghiblify"].arguments(
        prompt="a", size="square", seed=7, photo_url="https://x.example/p", strength=0.5, negative_prompt="b"
    )
    assert {"image_url": "https://x.example/p", "seed": 7} == ghibli
