"""Generators as data: fal's image models under their public names, what each accepts and returns, and its limits.

Limits are those of fal's OpenAPI documents of the models (January 2026); where one is not known, flux-lora's is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.generation_types import TEXT_CHAIN
from services.trainers import Number

__all__ = ["TEXT_CHAIN"]

IMAGE_SIZES: Mapping[str, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
DEFAULT_SIZE = "square_hd"
SIDE = Number(minimum=256, maximum=1536)  # pixels, of a free size such as 1024x768
SCALE = Number(minimum=0, maximum=4)
STRENGTH = Number(minimum=0.01, maximum=1)  # of the widest model
FORMATS = ("png", "jpeg")

# The seed's names stay public; these are the provider's own for them. FAL_MODEL_ALIASES adds to it.
ALIASES: Mapping[str, str] = {"fal-ai/realistic-vision-v5": "fal-ai/realistic-vision"}

WORDS = frozenset({"prompt", "image_size", "num_images"})
THEIR_NAMES = {"steps": "num_inference_steps", "guidance": "guidance_scale", "strength": "strength"}


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One endpoint: the fields it takes besides `seed`, and the ranges of the numbers it takes."""

    name: str
    takes: frozenset[str] = WORDS
    numbers: Mapping[str, Number] = field(default_factory=dict)
    format_field: str | None = "output_format"
    returns: str = "images"

    @property
    def takes_prompt(self) -> bool:
        """Whether it reads words."""
        return "prompt" in self.takes

    def refusal(self, parameters: Mapping[str, Any]) -> tuple[str, str] | None:
        """The first of `parameters` that it cannot honour, and the rule in words; None when it can."""
        for name, value in parameters.items():
            if name in THEIR_NAMES and name not in self.numbers:
                return name, "is not taken"
            if name == "format" and self.format_field is None:
                return name, "is not taken"
            bounds = self.numbers.get(name)
            if bounds and not bounds.minimum <= value <= bounds.maximum:
                return name, f"must be from {bounds.minimum:g} to {bounds.maximum:g}"
        return None


@dataclass(frozen=True, kw_only=True)
class Generator:
    """One image model under its public name: `text` is its endpoint without a photo, `photo` the one with a photo.

    `family` names whose trained models (LoRA) it draws with: FLUX weights do not fit Stable Diffusion.
    """

    name: str
    text: Endpoint | None = None
    photo: Endpoint | None = None
    family: str | None = None

    @property
    def takes_loras(self) -> bool:
        """Whether it draws with trained models of its family."""
        return self.family is not None

    @property
    def only_endpoint(self) -> Endpoint:
        """The endpoint of a model that has one."""
        only = self.text or self.photo
        assert only is not None, "every model has an endpoint"
        return only

    def endpoint(self, *, photo: bool) -> Endpoint | None:
        """The endpoint for a request with or without a photo; None when it has none."""
        return self.photo if photo else self.text

    def arguments(
        self,
        *,
        prompt: str,
        size: str,
        seed: int,
        loras: Sequence[tuple[str, float]] = (),
        photo_url: str | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """The provider's input for one image, only fields it names; `loras` are weights URLs with their scales."""
        endpoint = self.endpoint(photo=photo_url is not None)
        assert endpoint is not None, f"{self.name} was planned for what it cannot do"
        given: dict[str, Any] = {"prompt": prompt, "image_size": provider_size(size), "num_images": 1}
        given |= {"negative_prompt": parameters.get("negative_prompt")}
        arguments = {name: value for name, value in given.items() if name in endpoint.takes and value is not None}
        arguments["seed"] = seed
        arguments |= {THEIR_NAMES[name]: parameters[name] for name in endpoint.numbers if name in parameters}
        if endpoint.format_field:
            arguments[endpoint.format_field] = parameters.get("format") or "png"
        if photo_url is not None:
            arguments["image_url"] = photo_url
        if self.takes_loras and loras:
            arguments["loras"] = [{"path": path, "scale": scale} for path, scale in loras]
        return arguments


def _range(steps: int, guidance: float, strength: float | None = None) -> dict[str, Number]:
    """Inclusive ranges: 1 to `steps`, 0 to `guidance`, `strength` to 1."""
    ranges = {"steps": Number(minimum=1, maximum=steps), "guidance": Number(minimum=0, maximum=guidance)}
    return ranges | ({} if strength is None else {"strength": Number(minimum=strength, maximum=1)})


def _flux(name: str, *, steps: int = 50, takes: frozenset[str] = WORDS, photo: Endpoint | None = None) -> Generator:
    text = Endpoint(name=name, takes=takes, numbers=_range(steps, 35))
    return Generator(name=name, text=text, photo=photo, family=name)


def _sdxl(name: str, *, steps: int, strength: float | None = None) -> Endpoint:
    numbers = _range(steps, 20, strength)
    return Endpoint(name=name, takes=WORDS | {"negative_prompt"}, numbers=numbers, format_field="format")


GENERATORS: Mapping[str, Generator] = {
    generator.name: generator
    for generator in (
        _flux(
            "fal-ai/flux-lora",
            photo=Endpoint(name="fal-ai/flux-lora/image-to-image", numbers=_range(50, 35, STRENGTH.minimum)),
        ),
        _flux("fal-ai/flux-krea-lora"),
        _flux("fal-ai/flux-2/lora"),
        _flux("fal-ai/qwen-image", steps=250, takes=WORDS | {"negative_prompt"}),
        _flux("fal-ai/z-image/turbo/lora"),
        Generator(
            name="fal-ai/ghiblify",
            photo=Endpoint(name="fal-ai/ghiblify", takes=frozenset(), format_field=None, returns="image"),
        ),
        Generator(name="fal-ai/realistic-vision-v5", text=_sdxl("fal-ai/realistic-vision-v5", steps=70)),
        Generator(
            name="fal-ai/fast-sdxl",
            text=_sdxl("fal-ai/fast-sdxl", steps=50),
            photo=_sdxl("fal-ai/fast-sdxl/image-to-image", steps=65, strength=0.05),
        ),
    )
}
ENDPOINTS = frozenset(
    endpoint.name for generator in GENERATORS.values() for endpoint in (generator.text, generator.photo) if endpoint
)
USD_PER_IMAGE, SECONDS_PER_IMAGE = 0.035, 10


def wire_name(endpoint: Endpoint, aliases: Mapping[str, str]) -> str:
    """What the provider calls an endpoint; `aliases` go before our own table."""
    return {**ALIASES, **aliases}.get(endpoint.name, endpoint.name)


def provider_size(size: str) -> str | dict[str, int]:
    """A named size as it is; `1024x768` as width and height."""
    if size in IMAGE_SIZES:
        return size
    width, _, height = size.partition("x")
    return {"width": int(width), "height": int(height)}
