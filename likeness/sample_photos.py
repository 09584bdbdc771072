"""Drawn portraits of one invented person, so that the demo needs nobody's photos."""

import math
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter

_SKIN, _SHADE, _BLUSH = (229, 178, 146), (196, 138, 108), (222, 140, 122)
_HAIR, _GLOSS, _BROW = (74, 44, 30), (122, 78, 52), (62, 38, 28)
_LIPS, _IRIS = (178, 82, 78), (70, 110, 90)
_SCENES = (
    ((188, 212, 232), (120, 150, 120)),
    ((236, 204, 168), (150, 92, 70)),
    ((60, 72, 110), (28, 30, 52)),
    ((214, 214, 208), (150, 150, 146)),
    ((160, 196, 180), (60, 98, 88)),
)
_CLOTHES = ((48, 78, 120), (150, 58, 60), (70, 96, 72), (224, 216, 200), (52, 52, 58))
_WORK = 640
Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class _Pose:
    turn: float  # -1 looks left, 1 right
    tilt: float  # degrees
    smile: float  # 0..1
    zoom: float
    light: float  # -1 from the left, 1 from the right
    scene: tuple[Colour, Colour]
    clothes: Colour


def draw_sample_photos(folder: Path, *, count: int = 8, side: int = 1024, seed: int = 7) -> list[Path]:
    """Draw `count` different square JPEGs of `side` pixels (at least 512) of one person, the same for the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)  # noqa: S311
    paths = []
    for index in range(count):
        paths.append(folder / f"sample_{index + 1:02}.jpg")
        _portrait(_pose(chance, index=index), side=max(side, 512), chance=chance).save(paths[-1], quality=92)
    return paths


def _pose(chance: random.Random, *, index: int) -> _Pose:
    return _Pose(
        turn=chance.uniform(-0.8, 0.8),
        tilt=chance.uniform(-7, 7),
        smile=chance.random(),
        zoom=chance.uniform(1.0, 1.22),
        light=chance.choice((-1, 1)) * chance.uniform(0.4, 1),
        scene=_SCENES[index % len(_SCENES)],
        clothes=_CLOTHES[(index + index // len(_CLOTHES)) % len(_CLOTHES)],
    )


def _portrait(pose: _Pose, *, side: int, chance: random.Random) -> Image.Image:
    picture = _background(pose, chance=chance).convert("RGBA")
    person = Image.new("RGBA", (_WORK, _WORK))
    _body(ImageDraw.Draw(person), pose)
    _head(head := Image.new("RGBA", (_WORK, _WORK)), pose)
    person.alpha_composite(head.rotate(pose.tilt, Image.Resampling.BICUBIC, center=(320, 430)))
    inset = _WORK * (1 - 1 / pose.zoom) / 2
    person = person.resize(person.size, Image.Resampling.BICUBIC, (inset, 2 * inset, _WORK - inset, _WORK))
    picture.alpha_composite(person)
    lit = _lit(picture.convert("RGB"), pose).resize((side, side), Image.Resampling.LANCZOS)
    grain = Image.frombytes("L", (side, side), chance.randbytes(side * side)).convert("RGB")
    return Image.blend(lit, grain, 0.03)


def _background(pose: _Pose, *, chance: random.Random) -> Image.Image:
    top, bottom = (Image.new("RGB", (_WORK, _WORK), colour) for colour in pose.scene)
    picture = Image.composite(bottom, top, Image.linear_gradient("L").resize((_WORK, _WORK)))
    draw = ImageDraw.Draw(picture)
    for _ in range(14):
        x, y, r = chance.uniform(0, _WORK), chance.uniform(0, _WORK), chance.uniform(20, 80)
        colour = tuple(min(255, part + chance.randint(0, 50)) for part in chance.choice(pose.scene))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    return picture.filter(ImageFilter.GaussianBlur(16))


def _body(draw: ImageDraw.ImageDraw, pose: _Pose) -> None:
    _oval(draw, 320, 690, 250, 180, pose.clothes)
    draw.polygon([(272, 400), (368, 400), (384, 545), (256, 545)], fill=_SHADE)
    _oval(draw, 320, 528, 66, 36, _SHADE)


def _head(layer: Image.Image, pose: _Pose) -> None:
    draw = ImageDraw.Draw(layer)
    _oval(draw, 320 - pose.turn * 12, 285, 142, 165, _HAIR)
    for x in (205, 435):
        draw.rounded_rectangle((x - 34, 270, x + 34, 470), 30, fill=_HAIR)
    for edge in (-1, 1):
        _oval(draw, 320 + edge * 108 - pose.turn * 14, 325, 18, 30, _SHADE)
    draw.polygon(_face(), fill=_SKIN)
    middle = 320 + pose.turn * 26
    for edge in (-1, 1):
        _blush(layer, middle + edge * 54, 372)
        _eye(draw, middle + edge * (48 - abs(pose.turn) * 4), 312, look=pose.turn)
    draw.line([(middle + pose.turn * 6, 322), (middle + pose.turn * 16 + 9, 366)], fill=_SHADE, width=4)
    draw.arc((middle - 14, 352, middle + 18, 376), 20, 160, fill=_SHADE, width=4)
    _mouth(draw, middle, 408, smile=pose.smile)
    left, right = [(208, 300), (214, 210), (270, 160), (345, 152)], [(412, 190), (434, 300), (404, 246), (330, 214)]
    draw.polygon([*left, *right, (262, 236)], fill=_HAIR)
    for step in range(5):
        draw.arc((230 + step * 14, 165 + step * 6, 420, 330), 205, 265, fill=_GLOSS, width=2)


def _face() -> list[Point]:
    """An egg, narrower towards the chin."""
    angles = [math.radians(degree) for degree in range(0, 360, 4)]
    return [(320 + math.cos(a) * (108 - 26 * max(0.0, math.sin(a)) ** 2), 322 + math.sin(a) * 142) for a in angles]


def _eye(draw: ImageDraw.ImageDraw, x: float, y: float, *, look: float) -> None:
    _oval(draw, x, y, 24, 13, (248, 244, 240))
    _oval(draw, x + look * 7, y, 11, 12, _IRIS)
    _oval(draw, x + look * 7, y, 5, 6, (20, 18, 18))
    _oval(draw, x + look * 7 + 4, y - 4, 2, 2, (255, 255, 255))
    draw.arc((x - 26, y - 17, x + 26, y + 17), 190, 350, fill=_BROW, width=4)
    draw.arc((x - 32, y - 40, x + 32, y + 4), 205, 335, fill=_BROW, width=8)


def _mouth(draw: ImageDraw.ImageDraw, x: float, y: float, *, smile: float) -> None:
    wide, deep = 32 + 12 * smile, 6 + 14 * smile
    draw.chord((x - wide, y - deep, x + wide, y + deep), 0, 180, fill=_LIPS)
    if smile > 0.5:
        draw.chord((x - wide + 8, y - deep + 4, x + wide - 8, y + deep - 8), 0, 180, fill=(246, 240, 234))
    draw.arc((x - wide, y - 10, x + wide, y + 8), 10, 170, fill=(150, 66, 64), width=3)


def _blush(layer: Image.Image, x: float, y: float) -> None:
    spot = Image.new("L", layer.size)
    _oval(ImageDraw.Draw(spot), x, y, 26, 18, 110)
    layer.paste(_BLUSH, mask=spot.filter(ImageFilter.GaussianBlur(9)))


def _lit(picture: Image.Image, pose: _Pose) -> Image.Image:
    """Light from one side: bright there, darker away from it."""
    ramp = Image.linear_gradient("L").rotate(90 if pose.light > 0 else -90).resize(picture.size)
    shade = ramp.point(lambda value: int(255 - (255 - value) * 0.45 * abs(pose.light))).convert("RGB")
    return ImageChops.multiply(picture, shade)


def _oval(draw: ImageDraw.ImageDraw, x: float, y: float, rx: float, ry: float, fill: Colour | int) -> None:
    draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=fill)
