"""Small photos made in memory for the tests."""

import base64
import random
import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image, ImageCms

Colour = tuple[int, int, int]
_GREY: Colour = (120, 110, 100)

# 96 x 64, red with a blue right half, marked to be shown turned, from a camera called SecretCam.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAaFtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9j"
    "AAAAAERAAAIAAQAAAAABxQABAAAAAAAAAG8AAgAAAAACNAABAAAAAAAAADoAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAA"
    "ABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA4GlwcnAAAADAaXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNg"
    "AAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDCBBZbqSSmubgIaDAgAAAMAyAAAAwAIQGIAAQAH"
    "RAHBcrAiQAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABgAAAAQAAAABBwaXhpAAAAAAMICAgAAAAJaXJvdAMAAAAYaXBtYQAA"
    "AAAAAAABAAEFgQIDBIUAAAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAALFtZGF0AAAAaygBrxOAeSRFyL//9iVH/7c+eH3dNPBLP/njZ9+J"
    "ul/4eAe/E3LgIDYicfjDlsEljSHWkwdjgDLonWC9zRObbSvy6mIFhX70sdgf5WQdHxvjxR23q/Wu9oh27yxJ4e8lIEKSXiB9S6auwsqAAAAA"
    "BkV4aWYAAE1NACoAAAAIAAIBDwACAAAACgAAACYBEgADAAAAAQAGAAAAAAAAU2VjcmV0Q2FtAA=="
)


def jpeg_bytes(
    width: int = 640,
    height: int = 640,
    *,
    colour: Colour = _GREY,
    exif: bytes | None = None,
    orientation: int | None = None,
    **options: Any,
) -> bytes:
    """A JPEG of one colour with a white top left corner; `orientation` writes EXIF tag 0x0112."""
    if orientation is not None:
        tags = Image.Exif()
        tags[0x0112] = orientation
        exif = tags.tobytes()
    return encoded(_picture(width, height, colour=colour), "JPEG", exif=exif or b"", **options)


def png_bytes(width: int = 640, height: int = 640, *, colour: Colour = _GREY, **options: Any) -> bytes:
    """A PNG of one colour with a white top left corner."""
    return encoded(_picture(width, height, colour=colour), "PNG", **options)


def webp_bytes(width: int = 640, height: int = 640, *, colour: Colour = _GREY, **options: Any) -> bytes:
    """A WebP of one colour with a white top left corner."""
    return encoded(_picture(width, height, colour=colour), "WEBP", **options)


def noisy_jpeg(width: int, height: int, *, seed: int = 1, quality: int = 95) -> bytes:
    """A JPEG of seeded noise, which does not compress: about 10 MiB at 2600 x 2600 and quality 95."""
    return encoded(noise(width, height, seed=seed), "JPEG", quality=quality)


def noise(width: int, height: int, *, seed: int) -> Image.Image:
    """Seeded grainy noise; a tile of random bytes, shifted a little for every row of tiles."""
    tile = Image.frombytes("RGB", (256, 256), random.Random(seed).randbytes(256 * 256 * 3))
    picture = Image.new("RGB", (width, height))
    for top in range(0, height, 256):
        for left in range(-(top // 256 * 37 % 256), width, 256):
            picture.paste(tile, (left, top))
    return picture


def _picture(width: int, height: int, *, colour: Colour) -> Image.Image:
    picture = Image.new("RGB", (width, height), colour)
    picture.paste((255, 255, 255), (0, 0, width // 4, height // 4))
    return picture


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as the bytes of a file."""
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of exactly these chunks (type, body)."""
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data


def png_header(width: int, height: int, *, depth: int = 8, colour: int = 2) -> tuple[bytes, bytes]:
    """The IHDR chunk of a PNG."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def swapped_profile() -> bytes:
    """An sRGB profile whose red and green columns have changed places, under another name."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data = data.replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be")).replace(b"sRGB", b"Swap")
    return bytes(data.replace(b"rXYZ", b"tmp!").replace(b"gXYZ", b"rXYZ").replace(b"tmp!", b"gXYZ"))
