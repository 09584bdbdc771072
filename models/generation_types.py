"""The kinds of picture, as data: one entry is all a new kind needs.

From its entry follow the pipeline, the price of one image, the value of the GraphQL enum with its description, the name
of the kept file, and the filter of the history.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

# Seed 003's names and their order. The last one redraws a photo too; the second takes words only.
REACTION_CHAIN = ("fal-ai/ghiblify", "fal-ai/realistic-vision-v5", "fal-ai/fast-sdxl")
TEXT_CHAIN = ("fal-ai/realistic-vision-v5", "fal-ai/fast-sdxl")


@dataclass(frozen=True, kw_only=True)
class GenerationKind:
    """What a kind of picture needs and how it is made.

    `template` holds `{prompt}` and, where trained models may be used, `{trigger}`. `models` are public names in the
    order they are tried; none means: the generator of the trained models' family. `prefix` begins the name of the kept
    file, the kind's name in lower case when empty; with `bare_first` the first image of a run has no number (seed 003).
    `strength` is how far to go from a photo when the request does not say: lower keeps more of the person.
    """

    description: str
    models: tuple[str, ...] = ()
    template: str = "{prompt}"
    prefix: str = ""
    bare_first: bool = False
    strength: float = 0.85
    needs_photo: bool = False
    needs_prompt: bool = False
    needs_preset: bool = False
    needs_loras: bool = False
    takes_loras: bool = False


class GenerationType(StrEnum):
    """The kinds of picture (seed 003)."""

    kind: GenerationKind

    def __new__(cls, value: str, kind: GenerationKind | None = None) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        if kind is not None:
            member.kind = kind
        return member

    LORA = (
        "LORA",
        GenerationKind(
            description="Drawn from a prompt with one or more trained models, or a photo redrawn with them.",
            needs_prompt=True,
            needs_loras=True,
            takes_loras=True,
        ),
    )
    CUSTOM_PROMPT = (
        "CUSTOM_PROMPT",
        GenerationKind(
            description="Drawn from a prompt alone, or a photo redrawn after a prompt.",
            models=TEXT_CHAIN,
            needs_prompt=True,
        ),
    )
    PRESET = (
        "PRESET",
        GenerationKind(
            description="Drawn after a preset, with trained models if you like.",
            models=TEXT_CHAIN,
            needs_preset=True,
            takes_loras=True,
        ),
    )
    GHIBLI_REACTION = (
        "GHIBLI_REACTION",
        GenerationKind(
            description="A photo redrawn as an animated film's reaction.",
            models=REACTION_CHAIN,
            template="hand-painted animated film still in the style of Studio Ghibli, soft light, {prompt}",
            prefix="ghibli",
            bare_first=True,
            strength=0.6,
            needs_photo=True,
        ),
    )
    EMOTION_MASK = (
        "EMOTION_MASK",
        GenerationKind(
            description="A photo redrawn with another emotion.",
            models=REACTION_CHAIN,
            template="expressive portrait of the same person, one clear emotion on the face, {prompt}",
            strength=0.5,
            needs_photo=True,
        ),
    )
    NEO_GLITCH = (
        "NEO_GLITCH",
        GenerationKind(
            description="A photo redrawn in a glitched style.",
            models=("fal-ai/fast-sdxl", "fal-ai/flux-lora"),
            template="neon glitch art portrait, chromatic aberration, scan lines, datamosh, {prompt}",
            strength=0.6,
            needs_photo=True,
        ),
    )
