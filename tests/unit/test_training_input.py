"""What may be asked of a training: each rule names its field, and what is legal at the limits stays legal."""

from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import LikenessError, NotEnoughPhotos, NotFound, TooManyPhotos
from models.status import SubjectGender, TrainingQuality
from services.training_input import TrainingInput

PHOTOS = tuple(UUID(int=number) for number in range(5))
URL = "https://files.example/me.zip"


def given_input(**changes: Any) -> TrainingInput:
    """A sound request with changes."""
    return TrainingInput(**{"model_name": "My Portrait 2025", "photo_ids": PHOTOS} | changes)


def check(**changes: Any) -> None:
    """Check it with the default limits."""
    given_input(**changes).check(min_photos=5, max_photos=20)


FROM_URL: dict[str, Any] = {"photo_ids": None, "images_data_url": URL}
SOUND: dict[str, dict[str, Any]] = {
    "plain": {},
    "a name of one letter": {"model_name": "x"},
    "a name of a hundred letters": {"model_name": "x" * 100},
    "a name in any script": {"model_name": "小明 🧑‍🎨 Ann"},
    "twenty photos": {"photo_ids": tuple(UUID(int=number) for number in range(20))},
    "a photo named twice": {"photo_ids": (*PHOTOS, PHOTOS[0])},
    "an archive": FROM_URL,
    "an archive with a query": FROM_URL | {"images_data_url": URL + "?X-Signature=a%20b"},
    "an archive on a port": FROM_URL | {"images_data_url": "https://files.example:8443/me.zip"},
    "a long address": FROM_URL | {"images_data_url": URL + "?" + "x" * (1999 - len(URL))},
    "a trigger word": {"trigger_word": "ME_2025-A"},
    "trigger words": {"trigger_word": "ohwx man"},
    "a trigger word in any script": {"trigger_word": "小明"},
    "a long trigger word": {"trigger_word": "x" * 50},
    "one step": {"steps": 1},
    "ten thousand steps": {"steps": 10_000},
    "a hundred steps for FLUX.2": {"steps": 100, "base_model": "flux-2-trainer"},
    "steps for Qwen": {"steps": 8000, "base_model": "qwen-image-trainer"},
    "economy": {"quality": TrainingQuality.ECONOMY},
    "smallest numbers": {"lora_rank": 1, "batch_size": 1, "learning_rate": 1e-7},
    "largest numbers": {"lora_rank": 128, "batch_size": 32, "learning_rate": 0.1},
    "a key": {"idempotency_key": "k" * 255},
    "a style": {"is_style": True, "gender": SubjectGender.MAN},
}


@pytest.mark.parametrize("case", SOUND)
def test_sound_requests_pass(*, case: str) -> None:
    """Everything up to and at the limits."""
    check(**SOUND[case])


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "no name": ("modelName", {"model_name": ""}),
    "a blank name": ("modelName", {"model_name": " \t"}),
    "a long name": ("modelName", {"model_name": "x" * 101}),
    "a name with NUL": ("modelName", {"model_name": "a\x00b"}),
    "a name with a line end": ("modelName", {"model_name": "a\nb"}),
    "a name with half a character": ("modelName", {"model_name": "a\ud800"}),
    "no source": ("photoIds", {"photo_ids": None}),
    "two sources": ("photoIds", {"images_data_url": URL}),
    "an archive without TLS": ("imagesDataUrl", FROM_URL | {"images_data_url": "http://files.example/me.zip"}),
    "an archive in a file": ("imagesDataUrl", FROM_URL | {"images_data_url": "file:///etc/passwd"}),
    "an archive in the address": ("imagesDataUrl", FROM_URL | {"images_data_url": "data:application/zip;base64,AA"}),
    "an archive at a bare name": ("imagesDataUrl", FROM_URL | {"images_data_url": "https://localhost/me.zip"}),
    "an archive behind a password": ("imagesDataUrl", FROM_URL | {"images_data_url": "https://a:b@files.example/me.zip"}),
    "an archive nowhere": ("imagesDataUrl", FROM_URL | {"images_data_url": "https://"}),
    "an archive in brackets": ("imagesDataUrl", FROM_URL | {"images_data_url": "https://[x/me.zip"}),
    "an archive with a line end": ("imagesDataUrl", FROM_URL | {"images_data_url": URL + "\n"}),
    "an empty address": ("imagesDataUrl", FROM_URL | {"images_data_url": ""}),
    "too long an address": ("imagesDataUrl", FROM_URL | {"images_data_url": URL + "?" + "x" * 2000}),
    "no trigger word": ("triggerWord", {"trigger_word": ""}),
    "a long trigger word": ("triggerWord", {"trigger_word": "x" * 51}),
    "a trigger word with commas": ("triggerWord", {"trigger_word": "a, b"}),
    "a trigger word with a line end": ("triggerWord", {"trigger_word": "a\n"}),
    "a trigger word with wide gaps": ("triggerWord", {"trigger_word": "a  b"}),
    "a trigger word with weights": ("triggerWord", {"trigger_word": "(a:1.5)"}),
    "no steps": ("steps", {"steps": 0}),
    "negative steps": ("steps", {"steps": -1}),
    "too many steps": ("steps", {"steps": 10_001}),
    "too few steps for FLUX.2": ("steps", {"steps": 99, "base_model": "flux-2-trainer"}),
    "too many steps for Qwen": ("steps", {"steps": 8001, "base_model": "qwen-image-trainer"}),
    "no rank": ("loraRank", {"lora_rank": 0}),
    "a large rank": ("loraRank", {"lora_rank": 129}),
    "no batch": ("batchSize", {"batch_size": 0}),
    "a large batch": ("batchSize", {"batch_size": 33}),
    "no rate": ("learningRate", {"learning_rate": 0.0}),
    "a large rate": ("learningRate", {"learning_rate": 0.11}),
    "a rate that is no number": ("learningRate", {"learning_rate": float("nan")}),
    "a rate beyond the portrait trainer": (
        "learningRate", {"learning_rate": 0.01, "base_model": "flux-lora-portrait-trainer"},
    ),
    "no key": ("idempotencyKey", {"idempotency_key": ""}),
    "a long key": ("idempotencyKey", {"idempotency_key": "k" * 256}),
    "a key with NUL": ("idempotencyKey", {"idempotency_key": "a\x00"}),
    "a key with half a character": ("idempotencyKey", {"idempotency_key": "\udfff"}),
    "too few photos": ("photoIds", {"photo_ids": PHOTOS[:4]}),
    "too few photos, named often": ("photoIds", {"photo_ids": PHOTOS[:4] * 3}),
    "no photos": ("photoIds", {"photo_ids": ()}),
    "too many photos": ("photoIds", {"photo_ids": tuple(UUID(int=number) for number in range(21))}),
    "an unknown base model": ("baseModelId", {"base_model": "nothing"}),
    "an unknown base model with steps": ("baseModelId", {"base_model": "nothing", "steps": 5}),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_every_refusal_names_its_field(*, case: str) -> None:
    """As the client wrote it, so that a form can show the message beside it."""
    field, changes = WRONG[case]
    with pytest.raises(LikenessError) as refused:
        check(**changes)
    assert ("input", field) == refused.value.path
    assert refused.value.message.endswith(".")


def test_numbers_of_photos_have_their_own_errors() -> None:
    """They carry what was given and what is needed; the same photo counts once."""
    with pytest.raises(NotEnoughPhotos, match="4 photos were given; a training needs at least 5"):
        check(photo_ids=(*PHOTOS[:4], PHOTOS[0]))
    with pytest.raises(TooManyPhotos, match="5 photos were given; a training takes at most 4"):
        given_input().check(min_photos=1, max_photos=4)
    with pytest.raises(NotFound):
        check(base_model="nothing")
    given_input(photo_ids=PHOTOS[:1]).check(min_photos=1, max_photos=1)


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 1000),
        ({"quality": TrainingQuality.QUALITY}, 1000),
        ({"quality": TrainingQuality.ECONOMY}, 500),
        ({"quality": TrainingQuality.ECONOMY, "steps": 777}, 777),
    ],
    ids=str,
)
def test_steps_win_over_the_quality(changes: dict[str, Any], steps: int) -> None:
    """Without either it is the quality of a thousand steps."""
    assert steps == given_input(**changes).chosen_steps


def test_the_hash_tells_one_request_from_another() -> None:
    """Each field counts, also the order of the photos, but not the key that the request comes under."""
    changes: list[dict[str, Any]] = [
        {}, {"model_name": "Other"}, {"photo_ids": PHOTOS[::-1]}, FROM_URL, {"trigger_word": "ME"}, {"steps": 1000},
        {"quality": TrainingQuality.QUALITY}, {"is_style": True}, {"create_masks": False}, {"batch_size": 1},
        {"base_model": "flux-2-trainer"}, {"lora_rank": 1}, {"learning_rate": 0.1}, {"gender": SubjectGender.MAN},
    ]  # fmt: skip
    hashes = [given_input(**change).hash for change in changes]
    assert len(changes) == len(set(hashes))
    assert hashes == [given_input(**change, idempotency_key="k").hash for change in changes]


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "model_name": st.text(), "images_data_url": st.text(), "trigger_word": st.text(), "base_model": st.text(),
            "idempotency_key": st.text(), "steps": st.integers(), "lora_rank": st.integers(), "photo_ids": st.none(),
            "learning_rate": st.floats(), "batch_size": st.integers(),
        },
    )
)  # fmt: skip
def test_anything_is_sound_or_refused(changes: dict[str, Any]) -> None:
    """No value of any field makes another kind of error."""
    with suppress(LikenessError):
        check(**changes)
