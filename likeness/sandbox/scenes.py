"""The background of a picture, chosen by words of the prompt, else by chance."""

import random
from collections.abc import Callable, Mapping

from PIL import Image, ImageDraw, ImageOps

from likeness.sandbox.colours import Look, mix, shade
from likeness.sandbox.signature import GRID

Draw = ImageDraw.ImageDraw
Scene = Callable[[Draw, int, int, Look, random.Random], None]


def backdrop(width: int, height: int, *, prompt: str, look: Look, chance: random.Random) -> Image.Image:
    """A gradient, the training photos' average as a soft glow in it, and a scene."""
    # What is soft is mixed small and enlarged once: a server draws beside its other work.
    image = ImageOps.colorize(Image.linear_gradient("L"), look.sky[0], look.sky[1])
    if look.average is not None and look.influence:
        glow = Image.frombytes("RGB", (GRID, GRID), look.average).resize(image.size, Image.Resampling.BICUBIC)
        image = Image.blend(image, glow, 0.45 * look.influence)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    _scene(prompt, chance)(ImageDraw.Draw(image), width, height, look, chance)
    _darken_edges(image)
    return image


def _scene(prompt: str, chance: random.Random) -> Scene:
    fallback = chance.choice(list(_SCENES.values()))
    words = prompt.lower()
    return next((scene for keys, scene in _SCENES.items() if any(key in words for key in keys)), fallback)


def _studio(draw: Draw, width: int, height: int, look: Look, chance: random.Random) -> None:
    for _ in range(14):
        radius = chance.uniform(0.02, 0.13) * width
        x, y = chance.uniform(0, width), chance.uniform(0, height * 0.8)
        colour = mix(look.sky[1], shade(look.accent, 1.4), chance.uniform(0.1, 0.4))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _mountains(draw: Draw, width: int, height: int, look: Look, chance: random.Random) -> None:
    sun = 0.09 * width
    x, y = chance.uniform(0.15, 0.85) * width, 0.2 * height
    draw.ellipse((x - sun, y - sun, x + sun, y + sun), fill=shade(look.sky[1], 1.6))
    for layer in range(3):
        base = height * (0.5 + 0.13 * layer)
        peaks = [(width * n / 6, base - chance.uniform(-0.02, 0.2) * height) for n in range(7)]
        colour = mix(shade(look.sky[0], 0.9 - 0.2 * layer), look.accent, 0.15)
        draw.polygon([(0, height), *peaks, (width, height)], fill=colour)


def _city(draw: Draw, width: int, height: int, look: Look, chance: random.Random) -> None:
    for layer in range(2):
        x = 0.0
        colour = shade(look.sky[0], 0.7 - 0.28 * layer)
        while x < width:
            wide = chance.uniform(0.06, 0.13) * width
            top = height * chance.uniform(0.3 + 0.15 * layer, 0.62 + 0.1 * layer)
            draw.rectangle((x, top, x + wide, height), fill=colour)
            _windows(draw, (x, top, x + wide, height), look, chance)
            x += wide * 1.04


def _windows(draw: Draw, box: tuple[float, float, float, float], look: Look, chance: random.Random) -> None:
    left, top, right, bottom = box
    cell = (right - left) / 5
    for row in range(1, int((bottom - top) / cell / 1.5)):
        for column in (1, 3):
            if chance.random() < 0.45:
                x, y = left + column * cell, top + row * cell * 1.5
                draw.rectangle((x, y, x + cell * 0.7, y + cell * 0.8), fill=mix(look.accent, (255, 226, 150), 0.7))


def _sea(draw: Draw, width: int, height: int, look: Look, chance: random.Random) -> None:
    sun = 0.14 * width
    x, line = chance.uniform(0.2, 0.8) * width, height * 0.56
    draw.ellipse((x - sun, line - sun * 1.3, x + sun, line + sun * 0.7), fill=mix((255, 214, 140), look.accent, 0.2))
    draw.rectangle((0, line, width, height), fill=mix(shade(look.sky[0], 0.75), (30, 90, 130), 0.4))
    for _ in range(40):
        y, start = chance.uniform(line, height), chance.uniform(-0.1, 1.0) * width
        length = chance.uniform(0.04, 0.2) * width
        thick = max(1, round(height * 0.003))
        draw.line((start, y, start + length, y), fill=mix(look.sky[1], (255, 255, 255), 0.3), width=thick)


def _night(draw: Draw, width: int, height: int, look: Look, chance: random.Random) -> None:
    draw.rectangle((0, 0, width, height), fill=mix((14, 16, 44), look.sky[0], 0.25))
    for _ in range(160):
        x, y, size = chance.uniform(0, width), chance.uniform(0, height), chance.uniform(0.001, 0.004) * width
        draw.ellipse((x - size, y - size, x + size, y + size), fill=mix((255, 255, 255), look.accent, chance.random()))
    moon = 0.1 * width
    x, y = chance.uniform(0.12, 0.88) * width, 0.2 * height
    draw.ellipse((x - moon, y - moon, x + moon, y + moon), fill=mix((236, 232, 214), look.sky[1], 0.4))


def _forest(draw: Draw, width: int, height: int, look: Look, chance: random.Random) -> None:
    for layer in range(3):
        base = height * (0.72 + 0.12 * layer)
        colour = mix(shade(look.sky[0], 0.75 - 0.17 * layer), (34, 92, 60), 0.5)
        draw.rectangle((0, base, width, height), fill=colour)
        for _ in range(11):
            x, wide = chance.uniform(0, width), chance.uniform(0.05, 0.1) * width
            tall = chance.uniform(0.25, 0.5) * height
            draw.polygon([(x - wide, base + 1), (x, base - tall), (x + wide, base + 1)], fill=colour)


_SCENES: Mapping[tuple[str, ...], Scene] = {
    ("mountain", "alps", "hill", "hiking", "desert"): _mountains,
    ("city", "street", "urban", "office", "cyberpunk"): _city,
    ("beach", "sea", "ocean", "island", "sunset"): _sea,
    ("space", "night", "star", "astronaut", "moon"): _night,
    ("forest", "tree", "jungle", "garden", "park"): _forest,
    ("studio", "portrait", "photo", "headshot"): _studio,
}


def _darken_edges(image: Image.Image) -> None:
    dark = Image.radial_gradient("L").point(lambda value: max(0, value - 110) * 2 // 3)
    image.paste((0, 0, 0), mask=dark.resize(image.size))
