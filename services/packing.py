"""Photos into one training ZIP, the same photos always into the same bytes. Pure; run it in a worker thread."""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.images import file_sha256

_CHUNK = 64 * 1024
_FORMAT = "1"  # change it whenever the same photos give other bytes


@dataclass(frozen=True, kw_only=True)
class PackPhoto:
    """A photo to pack; `extension` has its dot (`.jpg`)."""

    path: Path
    extension: str
    caption: str | None = None


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A finished ZIP: its size in bytes, the SHA-256 of the file, and how many photos it holds."""

    path: Path
    bytes: int
    sha256: str
    count: int


def archive_key(photo_sha256s: Sequence[str], *, captions: Sequence[str | None] = ()) -> str:
    """A hash by which the same photos, in any order, are recognised before they are packed.

    `captions`, when given, has one item per photo: other captions make another archive.
    """
    rows = [[sha256, None] for sha256 in photo_sha256s]
    if captions:
        rows = [[sha256, caption] for sha256, caption in zip(photo_sha256s, captions, strict=True)]
    return hashlib.sha256(json.dumps([_FORMAT, sorted(rows, key=json.dumps)]).encode()).hexdigest()


def pack(photos: Sequence[PackPhoto], to: Path, *, on_photo: Callable[[int, int], None] | None = None) -> Packed:
    """Write `image_001.jpg`, `image_002.png` ... and their captions (`image_001.txt`) uncompressed into the ZIP `to`.

    `on_photo(done, total)` is called after each photo, in this thread. `to` appears complete or not at all.
    Raises `OSError` when a photo is gone or the disk is full.
    """
    with _appearing(to) as partial:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for number, photo in enumerate(photos, start=1):
                _add(archive, photo, number=number)
                if on_photo is not None:
                    on_photo(number, len(photos))
        return Packed(path=to, bytes=partial.stat().st_size, sha256=file_sha256(partial), count=len(photos))


@contextmanager
def _appearing(to: Path) -> Iterator[Path]:
    """A temporary neighbour of `to` that takes its place at the end, or vanishes."""
    handle, name = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name}.", suffix=".part")
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.replace(to)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _add(archive: zipfile.ZipFile, photo: PackPhoto, *, number: int) -> None:
    with (
        photo.path.open("rb") as source,
        archive.open(_entry(f"image_{number:03}{photo.extension}"), "w") as out,
    ):
        shutil.copyfileobj(source, out, _CHUNK)
    if photo.caption is not None:
        archive.writestr(_entry(f"image_{number:03}.txt"), photo.caption)


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry that says nothing of when and where it was packed."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3
    entry.external_attr = 0o100644 << 16
    return entry
