"""What the sandbox learns from photos: a few dominant colours and an 8x8 average, kept in the weights file."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

Colour = tuple[int, int, int]
TILE = 32
GRID = 8
COLOURS = 6


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The colours, most frequent first, and the average picture as 8x8 RGB bytes."""

    palette: tuple[Colour, ...]
    average: bytes

    @property
    def digest(self) -> str:
        """A name for this set of photos."""
        return hashlib.sha256(repr(self.palette).encode() + self.average).hexdigest()

    def as_metadata(self) -> dict[str, str]:
        """Text for a safetensors header."""
        palette = ",".join(bytes(colour).hex() for colour in self.palette)
        return {"palette": palette, "average": self.average.hex(), "signature": self.digest}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], *, default: bytes) -> "Signature":
        """The signature in `metadata`; weights of another maker get one made of the bytes `default`."""
        try:
            palette = tuple(_colour(bytes.fromhex(text)) for text in metadata["palette"].split(",")[:COLOURS])
            average = bytes.fromhex(metadata["average"])
        except (KeyError, ValueError):
            return cls.made_up(default)
        return cls(palette=palette, average=average) if len(average) == 3 * GRID * GRID else cls.made_up(default)

    @classmethod
    def made_up(cls, seed: bytes) -> "Signature":
        """A signature that depends on `seed` only."""
        noise = hashlib.shake_256(seed).digest(3 * COLOURS + 3 * GRID * GRID)
        colours = tuple(_colour(noise[3 * n : 3 * n + 3]) for n in range(COLOURS))
        return cls(palette=colours, average=noise[3 * COLOURS :])


class Learner:
    """Takes photos one by one; its memory does not grow with their size."""

    def __init__(self, photos: int) -> None:
        self._sheet = Image.new("RGB", (TILE, TILE * max(photos, 1)))
        self._sums = [0] * (3 * GRID * GRID)
        self._seen = 0

    def learn(self, photo: Image.Image) -> None:
        """Add one RGB photo."""
        self._sheet.paste(photo.resize((TILE, TILE), Image.Resampling.BOX), (0, TILE * self._seen))
        grid = photo.resize((GRID, GRID), Image.Resampling.BOX).tobytes()
        self._sums = [total + value for total, value in zip(self._sums, grid, strict=True)]
        self._seen += 1

    def signature(self) -> Signature:
        """What was learnt; needs at least one photo."""
        sheet = self._sheet.crop((0, 0, TILE, TILE * self._seen))
        reduced = sheet.quantize(COLOURS, method=Image.Quantize.MEDIANCUT)
        flat = reduced.getpalette() or []
        counts = sorted(reduced.getcolors() or [], reverse=True)
        starts = [3 * n for _, n in counts if isinstance(n, int)]
        palette = tuple(_colour(bytes(flat[start : start + 3])) for start in starts)
        average = bytes(total // self._seen for total in self._sums)
        return Signature(palette=palette, average=average)


def _colour(raw: bytes) -> Colour:
    red, green, blue = raw
    return red, green, blue
