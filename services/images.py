"""Photos as files: which are taken, and how each is made plain before it is kept. Run it in a worker thread."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, JpegImagePlugin

from models.errors import ErrorCode, PhotoRejected
from services.pixels import plain
from services.whole_files import save_whole

_MIB = 1024 * 1024
_DAMAGED = "The photo cannot be read: it is damaged or incomplete."
_CHILD_SECONDS = 60
_CHILD_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "SYSTEMROOT")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")

# Decoded, a photo takes 4 bytes a pixel. Beyond this a process of its own carries them, so that the server stays small.
_LARGE_PIXELS = 13_000_000

# A stored photo may outgrow its upload (a palette becomes RGB), but not without bound.
_GROWTH = 3


@dataclass(frozen=True, kw_only=True)
class PhotoRules:
    """What a photo must satisfy: bytes of the file, pixels of a side, pixels in all, long side by short side."""

    max_bytes: int
    min_side: int
    max_pixels: int = 40_000_000
    max_ratio: float = 8.0


@dataclass(frozen=True, kw_only=True)
class NormalPhoto:
    """A photo of ours: upright, sRGB, opaque, without metadata. `extension` has its dot, sizes are pixels and bytes."""

    path: Path
    content_type: str
    extension: str
    width: int
    height: int
    bytes: int
    sha256: str
    source_sha256: str


@dataclass(frozen=True, kw_only=True)
class _Kind:
    decoder: str
    encoder: str
    extension: str
    pixel_share: float = 1.0  # of max_pixels, for decoders that need more memory a pixel


# WebP becomes JPEG: Pillow's WebP encoder takes 20 bytes a pixel and refuses some pictures ("encoding error 6").
_JPEG = _Kind(decoder="JPEG", encoder="JPEG", extension=".jpg")
_PNG = _Kind(decoder="PNG", encoder="PNG", extension=".png")
_WEBP = _Kind(decoder="WEBP", encoder="JPEG", extension=".jpg", pixel_share=0.5)
_HEIC = _Kind(decoder="HEIF", encoder="JPEG", extension=".jpg")


def normalise(source: Path, to: Path, *, rules: PhotoRules) -> NormalPhoto:
    """Check `source` and write it anew as `to` plus its true extension; the same input gives the same bytes.

    JPEG and PNG keep their kind, WebP and HEIC become JPEG. The pixels are decoded once, completely, and nothing
    but the pixels is written. Raises `PhotoRejected` for whatever is wrong with the photo, `OSError` for the disk.
    """
    kind = _kind_of(source, rules=rules)
    # One damaged byte can end libheif, and with it the process, with a segmentation fault.
    if kind is _HEIC or _LARGE_PIXELS < _pixels(source, kind=kind) <= rules.max_pixels:
        return _normalise_apart(source, Path(f"{to}{kind.extension}"), rules=rules)
    return normalise_here(source, to, rules=rules)


def normalise_here(source: Path, to: Path, *, rules: PhotoRules) -> NormalPhoto:
    """`normalise` without a process of its own for dangerous kinds."""
    kind = _kind_of(source, rules=rules)
    with source.open("rb") as file:
        photo, options = _decode(file, kind=kind, rules=rules, scratch=to.parent)
    target = Path(f"{to}{kind.extension}")
    _write(photo, target, kind=kind, options=options, limit=rules.max_bytes * _GROWTH)
    return NormalPhoto(
        path=target,
        content_type=f"image/{kind.encoder.lower()}",
        extension=kind.extension,
        width=photo.width,
        height=photo.height,
        bytes=target.stat().st_size,
        sha256=file_sha256(target),
        source_sha256=file_sha256(source),
    )


def _pixels(source: Path, *, kind: _Kind) -> int:
    """What the header says; 0 when it cannot be read."""
    try:
        with Image.open(source, formats=(kind.decoder,)) as image:
            return image.width * image.height
    except Exception:
        return 0


def _normalise_apart(source: Path, target: Path, *, rules: PhotoRules) -> NormalPhoto:
    to = target.absolute().with_suffix("")
    # Without -B a full disk would leave half a .pyc behind, which no later import can read (seen with Python 3.11).
    command = [sys.executable, "-B", "-m", "services.photo_process", str(source.absolute()), str(to)]
    # It reads hostile bytes: it gets none of our secrets.
    env = {name: os.environ[name] for name in _CHILD_ENVIRONMENT if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603
            [*command, json.dumps(asdict(rules))],
            capture_output=True,
            check=True,
            cwd=Path(__file__).parents[1],
            env=env,
            timeout=_CHILD_SECONDS,
        )
        answer = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        target.unlink(missing_ok=True)
        raise _rejected(ErrorCode.IMAGE_UNREADABLE, _DAMAGED) from error
    if "os_error" in answer:
        raise OSError(answer["os_error"], os.strerror(answer["os_error"]))
    if "code" in answer:
        raise _rejected(ErrorCode(answer["code"]), answer["reason"])
    return NormalPhoto(**{**answer["photo"], "path": target})


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kind_of(source: Path, *, rules: PhotoRules) -> _Kind:
    have = source.stat().st_size
    if have > rules.max_bytes:
        limit = f"{rules.max_bytes / _MIB:.4g} MiB ({rules.max_bytes} bytes)"
        raise _rejected(ErrorCode.FILE_TOO_LARGE, f"The file has {have} bytes; at most {limit} are taken.")
    if have == 0:
        raise _rejected(ErrorCode.IMAGE_UNREADABLE, "The file is empty.")
    with source.open("rb") as file:
        kind = _kind_by_magic(file.read(16))
    if kind is None:
        raise _rejected(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "The file is not a JPEG, PNG or WebP photo.")
    if kind is _HEIC and find_spec("pi_heif") is None:
        reason = "HEIC photos cannot be read here (the heic extra is not installed); send JPEG, PNG or WebP."
        raise _rejected(ErrorCode.UNSUPPORTED_MEDIA_TYPE, reason)
    return kind


def _kind_by_magic(head: bytes) -> _Kind | None:
    if head.startswith(b"\xff\xd8\xff"):
        return _JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _PNG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _WEBP
    return _HEIC if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS else None


def _decode(file: BinaryIO, *, kind: _Kind, rules: PhotoRules, scratch: Path) -> tuple[Image.Image, dict[str, Any]]:
    with _refusing(rules):
        image = Image.open(file, formats=(kind.decoder,))
        _check_header(image, kind=kind, rules=rules)
        # verify() takes truncated files; only decoding finds them.
        image.load()
        # A container can announce another size than its picture has.
        _check_header(image, kind=kind, rules=rules)
        options = _options(image, kind=kind)
    with _refusing(rules, but=OSError):
        return plain(image, scratch=scratch), options


@contextmanager
def _refusing(rules: PhotoRules, *, but: type[Exception] = PhotoRejected) -> Iterator[None]:
    """Hostile bytes make decoders raise nearly anything; all of it is one refusal, `but` the kind given."""
    try:
        yield
    except (PhotoRejected, but):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = f"at most {rules.max_pixels / 1e6:g} million are taken"
        raise _rejected(ErrorCode.FILE_TOO_LARGE, f"The photo has far too many pixels; {limit}.") from error
    except Exception as error:
        raise _rejected(ErrorCode.IMAGE_UNREADABLE, _DAMAGED) from error


def _check_header(image: Image.Image, *, kind: _Kind, rules: PhotoRules) -> None:
    size = f"The photo is {image.width} x {image.height} px"
    short, long = sorted(image.size)
    most = int(rules.max_pixels * kind.pixel_share)
    if short < rules.min_side:
        reason = f"{size}; each side must have at least {rules.min_side} px."
        raise _rejected(ErrorCode.IMAGE_TOO_SMALL, reason)
    if short * long > most:
        raise _rejected(ErrorCode.FILE_TOO_LARGE, f"{size}; at most {most / 1e6:g} million pixels are taken.")
    if long > short * rules.max_ratio:
        limit = f"the long side may have at most {rules.max_ratio:g} times the short one"
        raise _rejected(ErrorCode.IMAGE_TOO_SMALL, f"{size}; {limit}.")
    frames = getattr(image, "n_frames", 1)
    if kind in (_PNG, _WEBP) and frames > 1:
        reason = f"The file is an animation of {frames} frames; a still photo is needed."
        raise _rejected(ErrorCode.UNSUPPORTED_MEDIA_TYPE, reason)


def _options(image: Image.Image, *, kind: _Kind) -> dict[str, Any]:
    """How to encode so that no visible quality is lost."""
    if kind.encoder == "PNG":
        return {}
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return {"quality": 95, "subsampling": "4:2:0"}  # lossy WebP and HEIC are 4:2:0 themselves
    # The tables its components really use, so that the same pixels are quantised the same way again.
    used = [image.quantization[layer[3]] for layer in image.layer]
    sampling = JpegImagePlugin.get_sampling(image)
    return {"qtables": used[:3] if len(used) == 3 else used[:1], "subsampling": max(sampling, 0)}


def _write(photo: Image.Image, target: Path, *, kind: _Kind, options: dict[str, Any], limit: int) -> None:
    try:
        save_whole(photo, target, kind.encoder, **options)
        have = target.stat().st_size
        if have > limit:
            reason = f"Stored, the photo would take {have} bytes; at most {limit} are kept."
            raise _rejected(ErrorCode.FILE_TOO_LARGE, reason)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _rejected(code: ErrorCode, reason: str) -> PhotoRejected:
    return PhotoRejected(code=code, reason=reason)
