"""The pixels of a photo, whatever its mode, profile and orientation, as upright opaque sRGB, with little memory."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile

from PIL import Image, ImageCms
from PIL.Image import Transpose

_STRIP_PIXELS = 1_000_000
_MAX_PROFILE_BYTES = 4 * 1024 * 1024
_ORIENTATION = 0x0112
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_QUARTER = (Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90)
_FROM_END = (Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM, Transpose.TRANSVERSE, Transpose.ROTATE_90)


def plain(image: Image.Image, *, scratch: Path) -> Image.Image:
    """The same picture, upright, in opaque sRGB, with nothing attached. `image` is used up.

    What has to change goes strip by strip through a nameless file in `scratch`, so that there are never two decoded
    copies in memory. Raises `OSError` when the disk is full.
    """
    turn = turn_of(image)
    to_srgb = _to_srgb(image)
    if turn is None and to_srgb is None:
        # The encoders copy comments, profiles and transparency from here.
        image.info = {}
        return image
    width, height = (image.height, image.width) if turn in _QUARTER else image.size
    rows = max(1, _STRIP_PIXELS // width)
    with TemporaryFile(dir=scratch) as spool:
        for strip in _strips(image, turn=turn, height=height, rows=rows):
            spool.write((to_srgb(strip) if to_srgb else strip).tobytes())
        image.close()
        result = Image.new("RGB", (width, height), None)
        spool.seek(0)
        for top in range(0, height, rows):
            size = (width, min(rows, height - top))
            result.paste(Image.frombytes("RGB", size, spool.read(size[0] * size[1] * 3)), (0, top))
    return result


def turn_of(image: Image.Image) -> Transpose | None:
    """What makes the picture upright; None when nothing has to be done."""
    return _TURNS.get(orientation_of(image))


def orientation_of(image: Image.Image) -> int:
    """How the picture lies, 1 to 8, as its EXIF says; 1 is upright."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1  # broken EXIF says nothing about the pixels, and is dropped anyway
    return orientation if orientation in _TURNS else 1


def _strips(image: Image.Image, *, turn: Transpose | None, height: int, rows: int) -> Iterator[Image.Image]:
    """The upright picture from top to bottom, each strip cut from where it lies in the stored one."""
    for top in range(0, height, rows):
        low, high = top, min(top + rows, height)
        if turn in _FROM_END:
            low, high = height - high, height - low
        box = (low, 0, high, image.height) if turn in _QUARTER else (0, low, image.width, high)
        strip = image.crop(box)
        yield strip if turn is None else strip.transpose(turn)


def _to_srgb(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """What to do with each strip; None when the pixels are opaque sRGB already."""
    opaque = not image.has_transparency_data
    base = {"I;16": "L", "L": "L", "CMYK": "CMYK"}.get(image.mode, "RGB") if opaque else "RGB"
    transform = _transform(image.info.get("icc_profile"), mode=base)
    if image.mode == "RGB" and opaque and transform is None:
        return None

    def convert(strip: Image.Image) -> Image.Image:
        if strip.mode == "I;16":
            strip = _eight_bits(strip)
        strip = _on_white(strip) if strip.has_transparency_data else strip.convert(base)
        return (strip if transform is None else transform.apply(strip)).convert("RGB")

    return convert


def _eight_bits(strip: Image.Image) -> Image.Image:
    # convert() alone would clip to white; a transparent grey of 16 bits means nothing in 8.
    strip = strip.point(lambda value: value / 257 + 0.5).convert("L")
    strip.info.pop("transparency", None)
    return strip


def _on_white(strip: Image.Image) -> Image.Image:
    white = Image.new("RGBA", strip.size, "white")
    white.alpha_composite(strip.convert("RGBA"))
    return white.convert("RGB")


def _transform(profile: bytes | None, *, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a colour profile to sRGB; None when there is none to go, or the profile is of no use."""
    if not profile or len(profile) > _MAX_PROFILE_BYTES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space != {"L": "GRAY"}.get(mode, mode) or "sRGB" in ImageCms.getProfileDescription(source):
            return None
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return ImageCms.ImageCmsTransform(source, srgb, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    except Exception:
        return None
