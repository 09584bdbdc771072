"""What may be asked of a generation: each rule names its field, and what is legal at the limits stays legal."""

from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.status import GenerationType
from services.generation_input import GenerationInput, LoraChoice
from services.generators import GENERATORS, IMAGE_SIZES, TEXT_CHAIN, provider_size

MODELS = [UUID(int=number) for number in range(6)]


def lora(number: int = 0, scale: float = 1.0) -> LoraChoice:
    """A model."""
    return LoraChoice(model=MODELS[number], scale=scale)


def check(**changes: Any) -> None:
    """Check a sound request with changes."""
    GenerationInput(**{"prompt": "a portrait"} | changes).check()


SOUND: dict[str, dict[str, Any]] = {
    "plain": {},
    "a long prompt": {"prompt": "x" * 2000},
    "a prompt of lines": {"prompt": "a\nb\r\nc\td"},
    "a prompt in any script": {"prompt": "肖像 👩‍🚀"},
    "named type": {"type": GenerationType.CUSTOM_PROMPT},
    "a model": {"loras": (lora(),)},
    "a model, named type": {"loras": (lora(),), "type": GenerationType.LORA},
    "four models": {"loras": tuple(lora(number) for number in range(4))},
    "scales at the limits": {"loras": (lora(0, 0.0), lora(1, 4.0))},
    "four images": {"num_images": 4},
    "smallest seed": {"seed": 0},
    "largest seed": {"seed": 2**31 - 1},
    "a run": {"run_id": "r" * 255},
    "a photo and a prompt": {"source_photo": MODELS[0]},
    "a reaction without words": {"source_photo": MODELS[0], "type": GenerationType.GHIBLI_REACTION, "prompt": None},
    "smallest numbers": {"source_photo": MODELS[0], "strength": 0.01, "steps": 1, "guidance": 0.0, "format": "png"},
    "largest numbers": {"source_photo": MODELS[0], "strength": 1.0, "steps": 250, "guidance": 35.0, "format": "jpeg"},
    "smallest size": {"image_size": "256x256"},
    "largest size": {"image_size": "1536x1536"},
    **{size: {"image_size": size} for size in IMAGE_SIZES},
}


@pytest.mark.parametrize("case", SOUND)
def test_sound_requests_pass(*, case: str) -> None:
    """Everything up to and at the limits."""
    check(**SOUND[case])


WRONG: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "no prompt": (("prompt",), {"prompt": None}),
    "an empty prompt": (("prompt",), {"prompt": ""}),
    "a blank prompt": (("prompt",), {"prompt": " \n "}),
    "a long prompt": (("prompt",), {"prompt": "x" * 2001}),
    "a prompt with NUL": (("prompt",), {"prompt": "a\x00b"}),
    "a prompt with half a character": (("prompt",), {"prompt": "\ud800"}),
    "no images": (("numImages",), {"num_images": 0}),
    "five images": (("numImages",), {"num_images": 5}),
    "a negative seed": (("seed",), {"seed": -1}),
    "a large seed": (("seed",), {"seed": 2**31}),
    "an empty run": (("runId",), {"run_id": ""}),
    "a long run": (("runId",), {"run_id": "r" * 256}),
    "a run with NUL": (("runId",), {"run_id": "a\x00"}),
    "a strength without a photo": (("strength",), {"strength": 0.5}),
    "a strength below": (("strength",), {"strength": 0.009, "source_photo": MODELS[0]}),
    "a strength above": (("strength",), {"strength": 1.01, "source_photo": MODELS[0]}),
    "a strength that is no number": (("strength",), {"strength": float("nan"), "source_photo": MODELS[0]}),
    "no steps": (("steps",), {"steps": 0}),
    "too many steps": (("steps",), {"steps": 251}),
    "guidance below": (("guidance",), {"guidance": -0.1}),
    "guidance above": (("guidance",), {"guidance": 35.1}),
    "another format": (("format",), {"format": "webp"}),
    "no format": (("format",), {"format": ""}),
    "a preset kind without a preset": (("presetId",), {"type": GenerationType.PRESET}),
    "a model for a reaction": (
        ("modelId",),
        {"type": GenerationType.NEO_GLITCH, "loras": (lora(),), "source_photo": MODELS[0]},
    ),
    "a LORA without model": (("modelId",), {"type": GenerationType.LORA}),
    "a model for text": (("modelId",), {"type": GenerationType.CUSTOM_PROMPT, "loras": (lora(),)}),
    "five models": (("loras",), {"loras": tuple(lora(number) for number in range(5))}),
    "a model twice": (("loras",), {"loras": (lora(), lora())}),
    "a scale below": (("loras", "1", "scale"), {"loras": (lora(), lora(1, -0.01))}),
    "a scale above": (("loras", "0", "scale"), {"loras": (lora(0, 4.01),)}),
    "a scale that is no number": (("loras", "0", "scale"), {"loras": (lora(0, float("nan")),)}),
    "a side below": (("imageSize",), {"image_size": "255x512"}),
    "a side above": (("imageSize",), {"image_size": "512x1537"}),
    "one side": (("imageSize",), {"image_size": "512"}),
    "words": (("imageSize",), {"image_size": "large"}),
    "a line end": (("imageSize",), {"image_size": "512x512\n"}),
    "no size": (("imageSize",), {"image_size": ""}),
    **{kind: (("sourcePhotoId",), {"type": kind}) for kind in GenerationType if kind.kind.needs_photo},
}


@pytest.mark.parametrize("case", WRONG)
def test_every_refusal_names_its_field(*, case: str) -> None:
    """As the client wrote it, so that a form can show the message beside it."""
    path, changes = WRONG[case]
    with pytest.raises(InvalidInput) as refused:
        check(**changes)
    assert ("input", *path) == refused.value.path
    assert refused.value.message.endswith(".")


def test_the_type_follows_from_the_models() -> None:
    """With a model it is LORA, without one CUSTOM_PROMPT, unless it is named."""
    assert [GenerationType.LORA, GenerationType.CUSTOM_PROMPT, GenerationType.LORA] == [
        GenerationInput(loras=(lora(),)).chosen_type,
        GenerationInput().chosen_type,
        GenerationInput(type=GenerationType.LORA).chosen_type,
    ]


def test_the_hash_tells_one_request_from_another() -> None:
    """Each field counts, but not the run id that the request comes under."""
    changes: list[dict[str, Any]] = [
        {}, {"prompt": "other"}, {"loras": (lora(),)}, {"loras": (lora(1),)}, {"loras": (lora(0, 0.5),)},
        {"num_images": 2}, {"steps": 9}, {"format": "jpeg"},
        {"image_size": "square"}, {"seed": 1}, {"type": GenerationType.CUSTOM_PROMPT},
    ]  # fmt: skip
    hashes = [GenerationInput(**change).hash for change in changes]
    assert len(changes) == len(set(hashes))
    assert hashes == [GenerationInput(**change, run_id="r").hash for change in changes]


@pytest.mark.parametrize("size", [*IMAGE_SIZES, "1024x768"])
def test_sizes_reach_the_provider_as_it_takes_them(size: str) -> None:
    """Names as they are, numbers as width and height."""
    expected = {"width": 1024, "height": 768} if size == "1024x768" else size
    assert expected == provider_size(size)


@pytest.mark.parametrize("name", [name for name, generator in GENERATORS.items() if generator.text])
def test_a_generator_sends_only_what_its_model_takes(name: str) -> None:
    """One picture as PNG with its seed; weights only where they are taken."""
    generator = GENERATORS[name]
    assert generator.text is not None
    sent = generator.arguments(prompt="a", size="square", seed=7, loras=[("https://x.example/w", 0.5)])
    format_field = "output_format" if generator.takes_loras else "format"
    expected = {"prompt": "a", "image_size": "square", "seed": 7, "num_images": 1, format_field: "png"}
    if generator.takes_loras:
        expected["loras"] = [{"path": "https://x.example/w", "scale": 0.5}]
    assert expected == sent
    assert "loras" not in generator.arguments(prompt="a", size="square", seed=7)


def test_text_goes_through_models_that_need_no_weights() -> None:
    """The first one is the seed's."""
    assert "fal-ai/realistic-vision-v5" == TEXT_CHAIN[0]
    assert not any(GENERATORS[name].takes_loras for name in TEXT_CHAIN)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "prompt": st.text(), "num_images": st.integers(), "image_size": st.text(), "seed": st.integers(),
            "run_id": st.text(), "type": st.sampled_from(GenerationType),
            "strength": st.floats(), "steps": st.integers(), "guidance": st.floats(), "format": st.text(),
            "source_photo": st.none() | st.uuids(),
            "loras": st.lists(st.builds(lora, st.integers(0, 5), st.floats())).map(tuple),
        },
    )
)  # fmt: skip
def test_anything_is_sound_or_refused(changes: dict[str, Any]) -> None:
    """No value of any field makes another kind of error."""
    with suppress(InvalidInput):
        check(**changes)
