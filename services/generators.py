"""Generators as data: endpoint, parameter names and limits of fal's image models, and the chain each request tries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.trainers import Number

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


@dataclass(frozen=True, kw_only=True)
class Generator:
    """One image model: `name` is the public name, `endpoint` what the provider calls it."""

    name: str
    endpoint: str
    takes_loras: bool
    format_field: str = "output_format"

    def arguments(
        self, *, prompt: str, size: str, seed: int, loras: Sequence[tuple[str, float]] = ()
    ) -> dict[str, Any]:
        """The provider's input for one image; `loras` are weights URLs with their scales (0 to 4)."""
        arguments: dict[str, Any] = {
            "prompt": prompt,
            "image_size": provider_size(size),
            "seed": seed,
            "num_images": 1,
            self.format_field: "png",
        }
        if self.takes_loras and loras:
            arguments["loras"] = [{"path": path, "scale": scale} for path, scale in loras]
        return arguments


def _lora(endpoint: str) -> Generator:
    return Generator(name=endpoint, endpoint=endpoint, takes_loras=True)


GENERATORS: Mapping[str, Generator] = {
    generator.name: generator
    for generator in (
        _lora("fal-ai/flux-lora"),
        _lora("fal-ai/flux-krea-lora"),
        _lora("fal-ai/flux-2/lora"),
        _lora("fal-ai/qwen-image"),
        _lora("fal-ai/z-image/turbo/lora"),
        # The seed's name stays public; the provider's own name is used on the wire.
        Generator(
            name="fal-ai/realistic-vision-v5",
            endpoint="fal-ai/realistic-vision",
            takes_loras=False,
            format_field="format",
        ),
        Generator(name="fal-ai/fast-sdxl", endpoint="fal-ai/fast-sdxl", takes_loras=False, format_field="format"),
    )
}
TEXT_CHAIN = ("fal-ai/realistic-vision-v5", "fal-ai/fast-sdxl")
USD_PER_IMAGE, SECONDS_PER_IMAGE = 0.035, 10


def provider_size(size: str) -> str | dict[str, int]:
    """A named size as it is; `1024x768` as width and height."""
    if size in IMAGE_SIZES:
        return size
    width, _, height = size.partition("x")
    return {"width": int(width), "height": int(height)}
