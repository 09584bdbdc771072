"""Opens a training archive: bounded in entries and bytes, read one picture at a time, nothing extracted to disk."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from PIL import Image

from likeness.sandbox.errors import ModelError, refusal

ENTRY_LIMIT = 400
ENTRY_BYTES = 20 << 20
TOTAL_BYTES = 512 << 20
DIRECTORY_BYTES = 1 << 20
PIXEL_LIMIT = 40_000_000
FORMATS = ("JPEG", "PNG", "WEBP")
_IMAGE_ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
_DIRECTORY_END = b"PK\x05\x06"


class BadImage(ValueError):
    """The picture cannot be decoded or is too large."""


class BadArchive(ValueError):
    """The file is not an archive the trainer takes."""


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, its bounds checked from the directory. Raises `BadArchive`."""
    _check_directory(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise BadArchive("not a ZIP archive") from error
    with archive:
        entries = archive.infolist()
        if len(entries) > ENTRY_LIMIT:
            raise BadArchive(f"more than {ENTRY_LIMIT} entries")
        if sum(entry.file_size for entry in entries) > TOTAL_BYTES:
            raise BadArchive(f"more than {TOTAL_BYTES} bytes")
        yield archive


def picture_names(archive: zipfile.ZipFile) -> list[str]:
    """The training pictures: image endings, without masks and the system's hidden copies, by name."""
    return sorted(name for name in archive.namelist() if _is_picture(PurePosixPath(name)))


def captioned(archive: zipfile.ZipFile, names: list[str]) -> bool:
    """Whether every picture has a .txt beside it."""
    there = set(archive.namelist())
    return all(str(PurePosixPath(name).with_suffix(".txt")) in there for name in names)


def count_pictures(path: Path) -> int | None:
    """How many pictures an archive holds, None when it cannot be read."""
    try:
        with open_archive(path) as archive:
            return len(picture_names(archive))
    except BadArchive:
        return None


def read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of an entry; what the directory says of its size is not believed. Raises `BadArchive`."""
    try:
        with archive.open(name) as entry:
            data = entry.read(ENTRY_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, EOFError) as error:
        raise BadArchive(f"{name} cannot be read") from error
    if len(data) > ENTRY_BYTES:
        raise BadArchive(f"{name} has more than {ENTRY_BYTES} bytes")
    return data


def decode(data: bytes, *, side: int) -> Image.Image:
    """The picture as RGB, decoded in full and at least `side` pixels when it was. Raises `BadImage`."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise BadImage("too many pixels")
            image.draft("RGB", (side, side))
            return image.convert("RGB")
    except BadImage:
        raise
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        raise BadImage("cannot be decoded") from error


def not_downloadable(*loc: str | int) -> ModelError:
    """fal's answer to an address it cannot read."""
    msg = "Failed to download the file. Please check if the URL is accessible and try again."
    return ModelError(422, detail=[refusal(loc, msg=msg, type="file_download_error")])


def _is_picture(path: PurePosixPath) -> bool:
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return path.suffix.lower() in _IMAGE_ENDINGS and not path.stem.endswith("_mask") and not hidden


def _check_directory(path: Path) -> None:
    # zipfile reads the whole directory into memory before anything can be counted.
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - (1 << 16) - 22))
        tail = file.read()
    at = tail.rfind(_DIRECTORY_END)
    if at < 0 or len(tail) < at + 22:
        raise BadArchive("not a ZIP archive")
    entries, length = struct.unpack_from("<HI", tail, at + 10)
    if entries > ENTRY_LIMIT or length > DIRECTORY_BYTES:
        raise BadArchive(f"more than {ENTRY_LIMIT} entries")
