"""Smaller copies of local images: made when first asked for, kept in a folder that may be emptied at any time.

A variant of `images/a.png` that fits into 256 x 512 pixels as WebP is `variants/a.png.256x512.webp`; 0 means: any.
"""

import asyncio
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from models.status import ImageFormat
from services.asset_store import VARIANT_SIDES, StoreRefused
from services.gateways.asset_names import checked_name
from services.pixels import turn_of
from services.whole_files import save_whole

FOLDER = "variants"
EXTENSIONS = {ImageFormat.PNG: "png", ImageFormat.JPEG: "jpg", ImageFormat.WEBP: "webp"}
SAVED_AS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
SIDES = frozenset({0, *VARIANT_SIDES})
QUALITY = 85
LARGEST_PIXELS = 100_000_000
_NAME = re.compile(r"(?P<source>.+\.[A-Za-z0-9]+)\.(?P<width>\d{1,4})x(?P<height>\d{1,4})\.(?P<extension>png|jpg|webp)")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One smaller copy of the image `source`; sides in pixels, 0 for any."""

    source: str
    width: int
    height: int
    extension: str

    @classmethod
    def of(cls, source: str, *, width: int | None, height: int | None, format: ImageFormat | None) -> "Variant":
        """The variant with these wishes; without a format it is that of the source. Raises `StoreRefused`."""
        suffix = source.rpartition(".")[2].lower().replace("jpeg", "jpg")
        extension = EXTENSIONS[format] if format else suffix
        return cls(source=checked_name(source), width=width or 0, height=height or 0, extension=extension)._checked()

    @classmethod
    def named(cls, name: str) -> "Variant":
        """The variant that has this file name. Raises `StoreRefused` when no variant has."""
        match = _NAME.fullmatch(checked_name(name))
        if match is None:
            raise StoreRefused("This is not the name of a variant.")
        width, height = int(match["width"]), int(match["height"])
        variant = cls(source=match["source"], width=width, height=height, extension=match["extension"])._checked()
        if variant.name != name:
            raise StoreRefused("This is not the name of a variant.")
        return variant

    @property
    def name(self) -> str:
        """The file's name, which says everything."""
        return f"{self.source}.{self.width}x{self.height}.{self.extension}"

    def _checked(self) -> "Variant":
        if not {self.width, self.height} <= SIDES or self.extension not in SAVED_AS:
            raise StoreRefused("No variant of this size or format is made.")
        return self

    def draw(self, source: Path, to: Path) -> None:
        """Write the variant. Raises `StoreRefused` when the source is no image."""
        try:
            with Image.open(source, formats=tuple(SAVED_AS.values())) as stored:
                if stored.width * stored.height > LARGEST_PIXELS:
                    raise StoreRefused("The image is too large.")
                turn = turn_of(stored)
                image = stored.transpose(turn) if turn else stored
                image.thumbnail((self.width or image.width, self.height or image.height), reducing_gap=2.0)
                save_whole(self._savable(image), to, SAVED_AS[self.extension], quality=QUALITY, optimize=False)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise StoreRefused("The image cannot be read.") from error

    def _savable(self, image: Image.Image) -> Image.Image:
        """Printing colours become a screen's; JPEG knows no transparency: what is clear becomes white."""
        if image.mode == "CMYK":
            image = image.convert("RGB")
            image.info.pop("icc_profile", None)  # it speaks of the printing colours
        if self.extension != "jpg" or image.mode in {"RGB", "L"}:
            return image
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(white, clear).convert("RGB")


class LocalVariants:
    """The folder of variants beside the folder of images; at most `most_bytes` after `tidy`."""

    def __init__(self, images: Path, folder: Path, *, most_bytes: int) -> None:
        self._images = images
        self._folder = folder
        self._most_bytes = most_bytes
        self._one_at_a_time = asyncio.Lock()  # a decoded picture needs much memory

    async def prepare(self, name: str) -> None:
        """Make the file if it is not there; without its source there is none. Raises `StoreRefused`."""
        variant = Variant.named(name)
        if await asyncio.to_thread(self._is_settled, variant):
            return
        async with self._one_at_a_time:
            await asyncio.to_thread(self._make, variant)

    def forget(self, source: str) -> None:
        """Remove the variants of an image that is deleted or replaced."""
        for path in self._folder.glob(f"{source}.*"):
            path.unlink(missing_ok=True)

    async def tidy(self) -> int:
        """Remove the oldest until the rest fits; how many went."""
        return await asyncio.to_thread(self._tidy)

    def _is_settled(self, variant: Variant) -> bool:
        """Whether nothing needs to be drawn; what is left of an image that is gone goes too."""
        source, target = self._images / variant.source, self._folder / variant.name
        if not source.is_file():
            target.unlink(missing_ok=True)
            return True
        return target.is_file()

    def _make(self, variant: Variant) -> None:
        """Draw the variant; one whose source was deleted or replaced meanwhile is not left behind."""
        if self._is_settled(variant):
            return
        source, target = self._images / variant.source, self._folder / variant.name
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=self._folder, prefix=".")
        os.close(handle)
        try:
            drawn_from = _identity(source)
            variant.draw(source, Path(draft))
            Path(draft).replace(target)
            if _identity(source) != drawn_from:
                target.unlink(missing_ok=True)
        finally:
            Path(draft).unlink(missing_ok=True)

    def _tidy(self) -> int:
        files = []
        with suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                with suppress(FileNotFoundError):
                    status = path.stat()
                    files.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in files) - self._most_bytes
        gone = 0
        for _, size, path in sorted(files):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess, gone = excess - size, gone + 1
        return gone


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from one that takes its place; None when there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
