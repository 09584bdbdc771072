"""Draws the sandbox's pictures with Pillow; the same arguments give the same pixels. Every one is marked SANDBOX."""

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from likeness.sandbox.colours import choose, stable_random
from likeness.sandbox.figure import Pen, draw_person
from likeness.sandbox.scenes import backdrop
from likeness.sandbox.signature import Signature

MARK = "SANDBOX"
_CANVAS = 2048
_SMALLEST = 64


def portrait(
    width: int,
    height: int,
    *,
    prompt: str,
    seed: int,
    index: int = 0,
    signature: Signature | None = None,
    influence: float = 1.0,
) -> Image.Image:
    """A picture of `width` x `height` pixels: the trained person (or a made-up one) in a scene of the prompt."""
    look = choose(prompt, seed=seed, index=index, signature=signature, influence=influence)
    chance = stable_random(prompt, seed, index, "scene")
    wide, tall = _canvas(width, height)
    image = backdrop(wide, tall, prompt=prompt, look=look, chance=chance)
    unit = min(wide * 0.95, tall * 0.92)
    pen = Pen(draw=ImageDraw.Draw(image), x=wide * (0.5 + look.lean), y=tall - 0.56 * unit, unit=unit)
    draw_person(pen, look=look, prompt=prompt)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    return labelled(image, text=prompt)


def restyled(
    photo: Image.Image, *, prompt: str, seed: int, strength: float, signature: Signature | None
) -> Image.Image:
    """`photo` with `strength` (0..1) of a new picture in it."""
    drawn = portrait(*photo.size, prompt=prompt, seed=seed, signature=signature)
    return labelled(Image.blend(photo, drawn, strength * 0.8), text=prompt)


def ghibli(photo: Image.Image, *, seed: int) -> Image.Image:
    """`photo` as a soft, flat, warm painting."""
    smooth = photo.filter(ImageFilter.MedianFilter(5)).filter(ImageFilter.ModeFilter(5))
    flat = ImageOps.posterize(ImageEnhance.Color(smooth).enhance(1.5), 4)
    warmth = stable_random("ghibli", seed).uniform(0.12, 0.22)
    sky = ImageOps.colorize(ImageOps.grayscale(flat), "#24422f", "#fff3d0", mid="#8fb38a")
    return labelled(Image.blend(flat, sky, warmth), text="")


def black(width: int, height: int) -> Image.Image:
    """What the safety checker leaves."""
    return Image.new("RGB", (width, height))


def labelled(image: Image.Image, *, text: str) -> Image.Image:
    """`image` with the SANDBOX mark at the top left and `text` printed small at the bottom."""
    scale = max(min(image.size) / 512, 0.2)
    draw = ImageDraw.Draw(image, "RGBA")
    _badge(draw, scale=scale)
    if text.strip():
        _caption(draw, text, size=image.size, scale=scale)
    return image


def _badge(draw: ImageDraw.ImageDraw, *, scale: float) -> None:
    font = ImageFont.load_default(22 * scale)
    left, top = 14 * scale, 14 * scale
    width = draw.textlength(MARK, font=font)
    box = (left, top, left + width + 24 * scale, top + 34 * scale)
    draw.rounded_rectangle(box, radius=17 * scale, fill=(12, 12, 16, 205))
    draw.text((left + 12 * scale, top + 17 * scale), MARK, font=font, fill=(255, 206, 84, 255), anchor="lm")


def _caption(draw: ImageDraw.ImageDraw, text: str, *, size: tuple[int, int], scale: float) -> None:
    font = ImageFont.load_default(13 * scale)
    lines = _wrap(draw, text, font=font, width=size[0] - 28 * scale)
    height = (len(lines) * 17 + 14) * scale
    draw.rectangle((0, size[1] - height, size[0], size[1]), fill=(12, 12, 16, 150))
    for row, line in enumerate(lines):
        y = size[1] - height + (7 + 17 * row) * scale
        draw.text((14 * scale, y), line, font=font, fill=(255, 255, 255, 235))


def _wrap(
    draw: ImageDraw.ImageDraw, text: str, *, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float
) -> list[str]:
    clean = " ".join(text[:400].encode("utf-8", "replace").decode().split())
    lines = [""]
    for word in clean.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font=font) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines[:2] if len(lines) <= 2 else [lines[0], f"{lines[1]} ..."]


def _canvas(width: int, height: int) -> tuple[int, int]:
    # Drawn larger and scaled down, which smooths the edges Pillow's shapes do not.
    factor = min(2.0, max(1.0, _CANVAS / max(width, height)))
    return max(round(width * factor), _SMALLEST), max(round(height * factor), _SMALLEST)
