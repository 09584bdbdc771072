"""Pure: generated pictures are what they claim to be before they are kept, and say how they were made."""

import base64
import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from models.errors import ResultUnusable
from services.pixels import turn_of
from services.provenance import Provenance, stamp

LARGEST_PIXELS = 100_000_000
KINDS = {"JPEG": ("image/jpeg", ".jpg"), "PNG": ("image/png", ".png"), "WEBP": ("image/webp", ".webp")}
PLACEHOLDER_SIDES, PLACEHOLDER_CHARACTERS = (16, 12, 8, 4), 400


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that was decoded to its last row; sides in pixels as it is shown, `sha256` of the file as it is kept.

    `placeholder` is a blurred miniature as a `data:` URI of at most 400 characters.
    """

    path: Path
    content_type: str
    extension: str
    width: int
    height: int
    sha256: str
    placeholder: str


def finish_picture(path: Path, facts: Provenance) -> Picture:
    """Decide the kind by content, decode fully, and write the facts into the file.

    Raises `ResultUnusable`, and `OSError` for the disk, which says nothing of the picture.
    """
    try:
        with Image.open(path, formats=tuple(KINDS)) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise ResultUnusable(reason=f"the image has {image.width} x {image.height} pixels.")
            image.load()
            content_type, extension = KINDS[image.format or ""]
            turn = turn_of(image) if image.format != "PNG" else None  # in whose kept file no orientation stands
            shown = image.transpose(turn) if turn else image
            size, miniature = shown.size, placeholder(shown)
        stamp(path, facts)
    except (OSError, ValueError, SyntaxError, KeyError, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ResultUnusable(reason="the image cannot be read.") from error
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Picture(
        path=path, content_type=content_type, extension=extension, width=size[0], height=size[1], sha256=sha256,
        placeholder=miniature,
    )  # fmt: skip


def placeholder(image: Image.Image) -> str:
    """A miniature of a loaded image as a `data:` URI that is short enough for a page full of them."""
    for side in PLACEHOLDER_SIDES:
        scale = side / max(image.size)
        size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
        buffer = BytesIO()
        image.resize(size, Image.Resampling.BOX, reducing_gap=2.0).convert("RGB").save(buffer, "WEBP", quality=30)
        uri = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        if len(uri) <= PLACEHOLDER_CHARACTERS:
            break
    return uri
