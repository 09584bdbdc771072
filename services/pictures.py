"""Pure: generated pictures are what they claim to be before they are kept."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from models.errors import ResultUnusable

LARGEST_PIXELS = 100_000_000
KINDS = {"JPEG": ("image/jpeg", ".jpg"), "PNG": ("image/png", ".png"), "WEBP": ("image/webp", ".webp")}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that was decoded to its last row; sides in pixels."""

    path: Path
    content_type: str
    extension: str
    width: int
    height: int


def check_picture(path: Path) -> Picture:
    """Decide the kind by content and decode fully. Raises `ResultUnusable`."""
    try:
        with Image.open(path, formats=tuple(KINDS)) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise ResultUnusable(reason=f"the image has {image.width} x {image.height} pixels.")
            image.load()
            content_type, extension = KINDS[image.format or ""]
            return Picture(
                path=path, content_type=content_type, extension=extension, width=image.width, height=image.height
            )
    except (OSError, ValueError, SyntaxError, KeyError, Image.DecompressionBombError) as error:
        raise ResultUnusable(reason="the image cannot be read.") from error
