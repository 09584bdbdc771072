"""Draws the person: head and shoulders in flat shapes. All lengths are shares of one unit, so any size looks alike."""

from dataclasses import dataclass

from PIL import ImageDraw

from likeness.sandbox.colours import Look, mix, shade
from likeness.sandbox.signature import Colour

_DARK: Colour = (44, 34, 36)


@dataclass(frozen=True, kw_only=True)
class Pen:
    """Shapes around the middle of the face in units: x to the right, y down."""

    draw: ImageDraw.ImageDraw
    x: float
    y: float
    unit: float

    def oval(self, x: float, y: float, wide: float, tall: float, colour: Colour) -> None:
        """An ellipse around (x, y) with these half axes."""
        self.draw.ellipse(self._box(x, y, wide, tall), fill=colour)

    def chord(self, x: float, y: float, wide: float, tall: float, start: float, end: float, colour: Colour) -> None:
        """A part of an ellipse, cut straight; degrees clockwise from the right."""
        self.draw.chord(self._box(x, y, wide, tall), start, end, fill=colour)

    def arc(
        self, x: float, y: float, wide: float, tall: float, start: float, end: float, colour: Colour, thick: float
    ) -> None:
        """A curved line."""
        line = max(1, round(thick * self.unit))
        self.draw.arc(self._box(x, y, wide, tall), start, end, fill=colour, width=line)

    def area(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """A polygon."""
        self.draw.polygon([(self.x + x * self.unit, self.y + y * self.unit) for x, y in points], fill=colour)

    def block(self, left: float, top: float, right: float, bottom: float, round: float, colour: Colour) -> None:
        """A rectangle with round corners."""
        box = self._box((left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2)
        self.draw.rounded_rectangle(box, radius=round * self.unit, fill=colour)

    def _box(self, x: float, y: float, wide: float, tall: float) -> tuple[float, float, float, float]:
        left, right = self.x + (x - wide) * self.unit, self.x + (x + wide) * self.unit
        return left, self.y + (y - tall) * self.unit, right, self.y + (y + tall) * self.unit


def draw_person(pen: Pen, *, look: Look, prompt: str) -> None:
    """A person with the look's features and what the prompt asks for: a smile, glasses, a hat."""
    words = prompt.lower()
    _back_hair(pen, look)
    _shoulders(pen, look)
    _head(pen, look)
    _face(pen, look, smile="smil" in words or "happy" in words or "laugh" in words)
    _front_hair(pen, look)
    if "glasses" in words:
        _glasses(pen, dark="sunglasses" in words)
    if any(word in words for word in ("hat", "cowboy", "wizard", "witch")):
        _hat(pen, look)


def _back_hair(pen: Pen, look: Look) -> None:
    if look.hair_style == 2:
        pen.oval(0, -0.02, 0.29 * look.face_width, 0.33, shade(look.hair, 0.8))
        pen.block(-0.285, -0.05, 0.285, 0.5, 0.12, shade(look.hair, 0.8))
    elif look.hair_style == 1:
        pen.oval(0, -0.03, 0.27 * look.face_width, 0.32, shade(look.hair, 0.85))


def _shoulders(pen: Pen, look: Look) -> None:
    dark = shade(look.cloth, 0.78)
    pen.block(-0.62, 0.47, 0.62, 1.9, 0.3, look.cloth)
    pen.area([(-0.3, 0.5), (-0.1, 0.37), (0.1, 0.37), (0.3, 0.5), (0.3, 0.6), (-0.3, 0.6)], look.cloth)
    pen.area([(0.13, 0.4), (0.62, 0.62), (0.62, 1.9), (0.2, 1.9)], mix(look.cloth, dark, 0.5))
    pen.block(-0.1, 0.15, 0.1, 0.46, 0.05, shade(look.skin, 0.82))
    pen.area([(-0.1, 0.4), (0.1, 0.4), (0, 0.66)], shade(look.skin, 0.93))
    pen.area([(-0.16, 0.36), (-0.09, 0.38), (0.0, 0.67), (-0.08, 0.74)], look.accent)
    pen.area([(0.16, 0.36), (0.09, 0.38), (0.0, 0.67), (0.08, 0.74)], shade(look.accent, 0.86))


def _head(pen: Pen, look: Look) -> None:
    width = 0.215 * look.face_width
    pen.oval(-width, 0.02, 0.035, 0.055, shade(look.skin, 0.88))
    pen.oval(width, 0.02, 0.035, 0.055, shade(look.skin, 0.84))
    pen.oval(0, -0.02, width, 0.27, look.skin)
    pen.oval(0, 0.09, width * 0.82, 0.195, look.skin)
    for side in (-1, 1):
        pen.oval(side * 0.115, 0.085, 0.045, 0.03, mix(look.skin, (226, 110, 100), 0.17))


def _face(pen: Pen, look: Look, *, smile: bool) -> None:
    for side in (-1, 1):
        x = side * 0.088
        pen.oval(x, 0.0, 0.04, 0.026, (250, 250, 248))
        pen.oval(x + look.lean * 0.15, 0.001, 0.022, 0.024, mix(look.accent, _DARK, 0.55))
        pen.oval(x + look.lean * 0.15, 0.001, 0.011, 0.012, (16, 14, 16))
        pen.oval(x + look.lean * 0.15 + 0.007, -0.007, 0.005, 0.005, (255, 255, 255))
        pen.arc(x, 0.004, 0.043, 0.031, 190, 350, _DARK, 0.009)
        pen.arc(x, -0.035, 0.055, 0.035, 205, 335, shade(look.hair, 0.75), 0.016)
    pen.arc(0.002, 0.075, 0.026, 0.022, 20, 160, shade(look.skin, 0.72), 0.011)
    lips = mix(look.skin, (176, 60, 66), 0.62)
    if smile:
        pen.chord(0, 0.135, 0.078, 0.062, 0, 180, lips)
        pen.chord(0, 0.138, 0.06, 0.03, 0, 180, (252, 250, 246))
    else:
        pen.chord(0, 0.15, 0.062, 0.026, 0, 180, lips)
        pen.chord(0, 0.153, 0.05, 0.016, 180, 360, shade(lips, 0.86))


def _front_hair(pen: Pen, look: Look) -> None:
    width = 0.235 * look.face_width
    pen.chord(0, -0.08, width, 0.25, 186, 354, look.hair)
    if look.hair_style == 0:
        pen.chord(0.04, -0.2, width * 0.8, 0.11, 160, 350, shade(look.hair, 1.08))
        return
    pen.chord(-0.11, -0.13, 0.13, 0.12, 120, 340, look.hair)
    pen.chord(0.1, -0.15, 0.16, 0.13, 190, 60, look.hair)
    if look.hair_style == 2:
        pen.block(-0.285, -0.1, -0.2, 0.42, 0.05, look.hair)
        pen.block(0.2, -0.1, 0.285, 0.42, 0.05, look.hair)


def _glasses(pen: Pen, *, dark: bool) -> None:
    for side in (-1, 1):
        if dark:
            pen.oval(side * 0.09, 0.005, 0.073, 0.06, (24, 24, 30))
        pen.arc(side * 0.09, 0.005, 0.073, 0.06, 0, 360, (30, 30, 34), 0.012)
    pen.arc(0, 0.0, 0.025, 0.02, 180, 360, (30, 30, 34), 0.012)


def _hat(pen: Pen, look: Look) -> None:
    pen.block(-0.2, -0.46, 0.2, -0.16, 0.08, look.accent)
    pen.block(-0.2, -0.24, 0.2, -0.18, 0.0, shade(look.accent, 0.6))
    pen.oval(0, -0.17, 0.38, 0.05, shade(look.accent, 0.9))
