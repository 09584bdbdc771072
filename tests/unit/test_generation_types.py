"""What follows from a kind's entry: prompts and file names."""

import pytest

from models.generation_types import GenerationType
from services.chains import Request, check
from services.generation_types import asset_name, final_prompt, slug
from services.generators import GENERATORS


@pytest.mark.parametrize(
    ("template", "prompt", "triggers", "expected"),
    [
        ("{prompt}", "a cat", [], "a cat"),
        ("{prompt}", "a cat", ["ME_1"], "ME_1, a cat"),
        ("{prompt}", "a cat of me_1", ["ME_1"], "a cat of me_1"),
        ("{trigger}, studio portrait", None, ["ME_1"], "ME_1, studio portrait"),
        ("{trigger}, studio portrait", "red hat", ["ME_1"], "ME_1, studio portrait, red hat"),
        ("{trigger}, studio portrait", None, ["ME_1", "YOU_2"], "ME_1, YOU_2, studio portrait"),
        ("{trigger}, studio portrait", None, ["ME_1", "me_1", "YOU_2"], "ME_1, YOU_2, studio portrait"),
        ("{trigger}, studio portrait", None, [], "a person, studio portrait"),
        ("glitch, {prompt}", None, [], "glitch"),
        ("glitch, {prompt}, neon", None, [], "glitch, neon"),
        ("glitch, {prompt}, neon", "rain", [], "glitch, rain, neon"),
        ("glitch", "{trigger} {prompt}", [], "glitch, {trigger} {prompt}"),
        ("studio portrait of {trigger}", None, ["ME_1"], "studio portrait of ME_1"),
    ],
)
def test_prompts(template: str, prompt: str | None, triggers: list[str], expected: str) -> None:
    """Trigger words first and once, the user's words where the template has them, braces of the user untouched."""
    assert expected == final_prompt(template, prompt=prompt, triggers=triggers)


@pytest.mark.parametrize("type", GenerationType)
def test_names_of_files(type: GenerationType) -> None:
    """`{type}_{runId}_{index}`, and Ghibli's first as in the seed."""
    names = [asset_name(type, "run-1", position) for position in (0, 1)]
    ghibli = type is GenerationType.GHIBLI_REACTION
    prefix = "ghibli" if ghibli else type.lower()
    assert [f"{prefix}_run-1" if ghibli else f"{prefix}_run-1_0", f"{prefix}_run-1_1"] == names


def test_slugs_are_safe_and_stay_different() -> None:
    """A changed run id carries a mark."""
    assert "run-1" == slug("run-1")
    assert len({slug("a/b"), slug("a b"), slug("a-b"), slug("a_b")}) == 4
    assert set(slug("ä/../ " * 50)) <= set("abcdef0123456789-")


@pytest.mark.parametrize("type", GenerationType)
def test_entries_are_sound(type: GenerationType) -> None:
    """Described, and some model of the chain can do what the kind needs."""
    kind = type.kind
    assert kind.description.endswith(".")
    assert "{prompt}" in kind.template
    assert set(kind.models) <= set(GENERATORS)
    if kind.models:
        check(kind.models, Request(photo=kind.needs_photo, words=kind.needs_prompt))


def test_the_seeds_models_come_first() -> None:
    """ghiblify for Ghibli and Emotion Mask, realistic-vision-v5 for realistic ones (do not change)."""
    assert {
        "GHIBLI_REACTION": "fal-ai/ghiblify", "EMOTION_MASK": "fal-ai/ghiblify",
        "CUSTOM_PROMPT": "fal-ai/realistic-vision-v5", "PRESET": "fal-ai/realistic-vision-v5",
        "NEO_GLITCH": "fal-ai/fast-sdxl",
    } == {type.value: type.kind.models[0] for type in GenerationType if type.kind.models}  # fmt: skip
