"""Which colours a picture gets: the person's from the training photos, the scene's from prompt and seed."""

import colorsys
import hashlib
import random
from dataclasses import dataclass

from likeness.sandbox.signature import Colour, Signature

_SKINS: tuple[Colour, ...] = (
    (244, 212, 188),
    (232, 188, 156),
    (214, 164, 128),
    (184, 130, 94),
    (146, 98, 68),
    (104, 68, 48),
)
_HAIRS: tuple[Colour, ...] = ((38, 28, 26), (74, 48, 34), (120, 76, 44), (182, 136, 74), (92, 90, 96), (134, 60, 38))


@dataclass(frozen=True, kw_only=True)
class Look:
    """Every choice of a picture. The person's look depends on the training alone, so all pictures show one person."""

    skin: Colour
    hair: Colour
    hair_style: int
    face_width: float
    sky: tuple[Colour, Colour]
    cloth: Colour
    accent: Colour
    lean: float
    average: bytes | None
    influence: float


def stable_random(*parts: object) -> random.Random:
    """A generator that depends on the parts only, the same in every process."""
    text = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return random.Random(hashlib.sha256(text).hexdigest())  # noqa: S311 - drawing, not secrets


def choose(prompt: str, *, seed: int, index: int, signature: Signature | None, influence: float) -> Look:
    """The look of picture `index` of a batch; `influence` is 0..1, how much the training photos show."""
    scene = stable_random(prompt, seed, index)
    person = stable_random(signature.digest if signature else prompt, "person")
    hue = scene.random()
    colours = list(signature.palette) if signature else []
    scene.shuffle(colours)
    own = [tint(hue, 0.55, 0.62), tint(hue + 0.09, 0.45, 0.86), tint(hue + 0.5, 0.6, 0.45), tint(hue + 0.4, 0.7, 0.8)]
    top, bottom, cloth, accent = (
        mix(mine, colours[n % len(colours)], 0.6 * influence) if colours else mine for n, mine in enumerate(own)
    )
    return Look(
        skin=person.choice(_SKINS),
        hair=person.choice(_HAIRS),
        hair_style=person.randrange(3),
        face_width=person.uniform(0.92, 1.06),
        sky=(top, bottom),
        cloth=cloth,
        accent=accent,
        lean=scene.uniform(-0.05, 0.05),
        average=signature.average if signature else None,
        influence=influence if signature else 0.0,
    )


def tint(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue, saturation and value, each 0..1 (the hue wraps)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with `share` (0..1) of `second`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """Darker for a factor below 1, lighter (towards white) above it."""
    return mix(colour, (0, 0, 0), 1 - factor) if factor <= 1 else mix(colour, (255, 255, 255), factor - 1)
