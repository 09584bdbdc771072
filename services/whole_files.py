"""Pictures written so that a full disk is noticed."""

import errno
import os
from pathlib import Path

from PIL import Image

END_OF_JPEG = b"\xff\xd9"


def save_whole(picture: Image.Image, to: Path, encoder: str, **options: object) -> None:
    """Save a picture; raises `OSError` when not every byte of it is on the disk.

    Pillow 13 writes a JPEG to the descriptor itself and takes a short write for a whole one. Only its last write can be
    short without an error in the next, and then the end-of-image marker is missing (ITU-T T.81, B.1.1.3).
    """
    with to.open("wb") as file:
        picture.save(file, encoder, **options)
    if encoder == "JPEG" and not _ends_with(to, END_OF_JPEG):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(to))


def _ends_with(path: Path, end: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - len(end)))
        return file.read() == end
