"""What each endpoint takes, as data: required fields, types and ranges of fal's own OpenAPI (January 2026).

A field that an endpoint does not name is ignored, as fal does. Where fal's limit is not known, flux-lora's is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The type of a field."""

    TEXT = "str"
    INTEGER = "integer"
    NUMBER = "float"
    FLAG = "bool"
    SIZE = "size"  # an enum name or {width, height}
    LORAS = "loras"  # [{path, scale}]


class Work(StrEnum):
    """What an endpoint does."""

    TRAINING = "training"
    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    GHIBLIFY = "ghiblify"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One input field; `low` and `high` are inclusive."""

    name: str
    kind: Kind = Kind.TEXT
    required: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One endpoint: its id, work, input and the peculiarities of its output."""

    id: str
    work: Work
    fields: tuple[Field, ...]
    archive: str = "images_data_url"
    default_steps: int = 1000
    needs_caption: bool = False
    weights: str = "diffusers_lora_file"
    default_size: str = "landscape_4_3"
    format: str = "output_format"


SIZES: Mapping[str, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
# fal takes up to 14142; the sandbox draws on an ordinary machine.
LONGEST_SIDE = 2048

PROMPT = Field(name="prompt", required=True)
SEED = Field(name="seed", kind=Kind.INTEGER)
SIZE = Field(name="image_size", kind=Kind.SIZE)
IMAGE_URL = Field(name="image_url", required=True)
SAFETY = Field(name="enable_safety_checker", kind=Kind.FLAG)


def integer(name: str, low: float, high: float) -> Field:
    """An optional integer within a range."""
    return Field(name=name, kind=Kind.INTEGER, low=low, high=high)


def number(name: str, low: float, high: float) -> Field:
    """An optional number within a range."""
    return Field(name=name, kind=Kind.NUMBER, low=low, high=high)


def flag(name: str) -> Field:
    """An optional boolean."""
    return Field(name=name, kind=Kind.FLAG)


def choice(name: str, *choices: str) -> Field:
    """An optional name out of a list."""
    return Field(name=name, choices=choices)


def _flux(id: str, *more: Field, steps: int = 50, work: Work = Work.TEXT_TO_IMAGE, loras: bool = True) -> Endpoint:
    fields = (
        PROMPT,
        SIZE,
        SEED,
        SAFETY,
        integer("num_inference_steps", 1, steps),
        number("guidance_scale", 0, 35),
        integer("num_images", 1, 4),
        choice("output_format", "jpeg", "png"),
        *((Field(name="loras", kind=Kind.LORAS, high=4),) if loras else ()),
        *more,
    )
    return Endpoint(id=id, work=work, fields=fields)


def _sdxl(id: str, *more: Field, steps: int, work: Work = Work.TEXT_TO_IMAGE, lora_scale: float = 1) -> Endpoint:
    fields = (
        PROMPT,
        Field(name="negative_prompt"),
        SIZE,
        SEED,
        SAFETY,
        integer("num_inference_steps", 1, steps),
        number("guidance_scale", 0, 20),
        integer("num_images", 1, 8),
        choice("format", "jpeg", "png"),
        Field(name="loras", kind=Kind.LORAS, high=lora_scale),
        *more,
    )
    return Endpoint(id=id, work=work, fields=fields, default_size="square_hd", format="format")


def _fast_trainer(id: str) -> Endpoint:
    fields = (
        Field(name="images_data_url", required=True),
        Field(name="trigger_word"),
        integer("steps", 1, 10_000),
        flag("create_masks"),
        flag("is_style"),
        flag("is_input_format_already_preprocessed"),
        Field(name="data_archive_format"),
    )
    return Endpoint(id=id, work=Work.TRAINING, fields=fields)


def _caption_trainer(id: str, *more: Field) -> Endpoint:
    fields = (
        Field(name="image_data_url", required=True),
        integer("steps", 100, 10_000),
        number("learning_rate", 0, 1),
        Field(name="default_caption"),
        *more,
    )
    return Endpoint(id=id, work=Work.TRAINING, fields=fields, archive="image_data_url", needs_caption=True)


PORTRAIT_TRAINER = Endpoint(
    id="fal-ai/flux-lora-portrait-trainer",
    work=Work.TRAINING,
    default_steps=2500,
    fields=(
        Field(name="images_data_url", required=True),
        Field(name="trigger_phrase"),
        integer("steps", 1, 10_000),
        number("learning_rate", 1e-6, 1e-3),
        flag("multiresolution_training"),
        flag("subject_crop"),
        flag("create_masks"),
        Field(name="resume_from_checkpoint"),
        Field(name="data_archive_format"),
    ),
)
QWEN_TRAINER = Endpoint(
    id="fal-ai/qwen-image-trainer",
    work=Work.TRAINING,
    archive="image_data_url",
    weights="lora_file",
    fields=(
        Field(name="image_data_url", required=True),
        Field(name="trigger_phrase"),
        integer("steps", 1, 8_000),
        number("learning_rate", 1e-6, 0.01),
    ),
)

_ALL = (
    _fast_trainer("fal-ai/flux-lora-fast-training"),
    _fast_trainer("fal-ai/flux-krea-trainer"),
    PORTRAIT_TRAINER,
    QWEN_TRAINER,
    _caption_trainer("fal-ai/flux-2-trainer", choice("output_lora_format", "fal", "comfy")),
    _caption_trainer("fal-ai/z-image-trainer", choice("training_type", "content", "style", "balanced")),
    _flux("fal-ai/flux-lora"),
    _flux("fal-ai/flux-lora/image-to-image", IMAGE_URL, number("strength", 0.01, 1), work=Work.IMAGE_TO_IMAGE),
    _flux("fal-ai/flux-krea-lora"),
    _flux("fal-ai/flux-2/lora"),
    _flux("fal-ai/qwen-image", Field(name="negative_prompt"), steps=250),
    _flux("fal-ai/z-image/turbo/lora"),
    _flux("fal-ai/flux/dev", loras=False),
    _sdxl("fal-ai/realistic-vision", Field(name="model_name"), steps=70),
    _sdxl("fal-ai/fast-sdxl", steps=50, lora_scale=4),
    _sdxl(
        "fal-ai/fast-sdxl/image-to-image",
        IMAGE_URL,
        number("strength", 0.05, 1),
        steps=65,
        work=Work.IMAGE_TO_IMAGE,
        lora_scale=4,
    ),
    Endpoint(id="fal-ai/ghiblify", work=Work.GHIBLIFY, fields=(IMAGE_URL, SEED, SAFETY)),
)

ENDPOINTS: Mapping[str, Endpoint] = {endpoint.id: endpoint for endpoint in _ALL}


def size_of(value: Any, *, default: str) -> tuple[int, int]:
    """Width and height in pixels of a judged `image_size`."""
    if isinstance(value, dict):
        return int(value.get("width", 512)), int(value.get("height", 512))
    return SIZES[value or default]
