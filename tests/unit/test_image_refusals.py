"""Photos as files: which are refused, and in what words."""

import zlib
from pathlib import Path
from typing import Any

import piexif
import pytest
from PIL import Image, ImageFile

from models.errors import ErrorCode, PhotoRejected
from services.images import NormalPhoto, PhotoRules, normalise
from tests.photos import HEIC, encoded, jpeg_bytes, noise, png_bytes, png_header, png_of, swapped_profile, webp_bytes

RULES = PhotoRules(max_bytes=1024 * 1024, min_side=512)
SMALL = PhotoRules(max_bytes=1024 * 1024, min_side=16)


def kept(folder: Path, data: bytes, *, rules: PhotoRules = RULES, name: str = "kept") -> NormalPhoto:
    source = folder / "upload"
    source.write_bytes(data)
    return normalise(source, folder / name, rules=rules)


def refusal(folder: Path, data: bytes, *, rules: PhotoRules = RULES) -> PhotoRejected:
    with pytest.raises(PhotoRejected) as caught:
        kept(folder, data, rules=rules)
    assert [file.name for file in folder.iterdir()] == ["upload"]
    return caught.value


def test_heic_without_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the refusal says what to send instead."""
    monkeypatch.setitem(__import__("sys").modules, "pi_heif", None)
    error = refusal(tmp_path, HEIC, rules=SMALL)
    assert error.code == ErrorCode.UNSUPPORTED_MEDIA_TYPE
    expected = "HEIC photos cannot be read here (the heic extra is not installed); send JPEG, PNG or WebP."
    assert expected == error.message


@pytest.mark.parametrize(
    "data",
    [
        b"hello, I am a JPEG",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        encoded(Image.new("RGB", (600, 600)), "GIF"),
        encoded(Image.new("RGB", (64, 64)), "BMP"),
        encoded(Image.new("RGB", (64, 64)), "TIFF"),
        encoded(Image.new("RGB", (64, 64)), "AVIF"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 600 600\n",
        b"PK\x03\x04" + bytes(60),
    ],
    ids=["text", "svg", "gif", "bmp", "tiff", "avif", "eps", "zip"],
)
def test_other_kinds_are_refused(tmp_path: Path, data: bytes) -> None:
    """Whatever is not JPEG, PNG, WebP or HEIC inside is refused, whatever it is called."""
    error = refusal(tmp_path, data)
    assert error.code == ErrorCode.UNSUPPORTED_MEDIA_TYPE
    assert error.message == "The file is not a JPEG, PNG or WebP photo."


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animations_are_refused(tmp_path: Path, kind: str) -> None:
    """A file of several frames is not a photo."""
    frames = [Image.new("RGB", (520, 520), (shade, 0, 0)) for shade in (0, 100, 200)]
    error = refusal(tmp_path, encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert error.code == ErrorCode.UNSUPPORTED_MEDIA_TYPE
    assert error.message == "The file is an animation of 3 frames; a still photo is needed."


def test_the_size_of_the_file_is_checked_first(tmp_path: Path) -> None:
    """A file over the limit is refused with both numbers, before it is looked at."""
    error = refusal(tmp_path, b"x" * 2000, rules=PhotoRules(max_bytes=1024, min_side=512))
    assert error.code == ErrorCode.FILE_TOO_LARGE
    assert error.message == "The file has 2000 bytes; at most 0.0009766 MiB (1024 bytes) are taken."


@pytest.mark.parametrize(("width", "height", "orientation"), [(511, 900, 1), (900, 511, 6)])
def test_a_short_side_is_refused(tmp_path: Path, width: int, height: int, orientation: int) -> None:
    """A side under the limit is refused with its numbers."""
    error = refusal(tmp_path, jpeg_bytes(width, height, orientation=orientation))
    assert error.code == ErrorCode.IMAGE_TOO_SMALL
    assert f"The photo is {width} x {height} px; each side must have at least 512 px." == error.message


def test_a_side_of_exactly_the_limit_is_taken(tmp_path: Path) -> None:
    """512 px are enough."""
    assert (kept(tmp_path, jpeg_bytes(512, 512)).width, 512) == (512, 512)


def test_a_long_strip_is_refused(tmp_path: Path) -> None:
    """A side of more than eight times the other is refused."""
    error = refusal(tmp_path, jpeg_bytes(520, 4200))
    assert error.code == ErrorCode.IMAGE_TOO_SMALL
    assert error.message == "The photo is 520 x 4200 px; the long side may have at most 8 times the short one."


@pytest.mark.parametrize(
    ("width", "height"), [(8000, 6000), (12_000, 12_000), (16_000, 16_000), (2**31 - 1, 2**31 - 1)]
)
def test_bombs_are_refused_by_their_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    """Pixels over the limit are refused without decoding, also where Pillow itself only warns."""
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    data = png_of(png_header(width, height), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    assert refusal(tmp_path, data).code == ErrorCode.FILE_TOO_LARGE


def test_webp_has_half_the_pixels(tmp_path: Path) -> None:
    """Decoding a WebP needs twice the memory, so half as many pixels are taken."""
    rules = PhotoRules(max_bytes=1024 * 1024, min_side=16, max_pixels=20_000)
    kept(tmp_path, webp_bytes(100, 100), rules=rules)
    (tmp_path / "kept.jpg").unlink()
    error = refusal(tmp_path, webp_bytes(101, 100), rules=rules)
    assert error.message == "The photo is 101 x 100 px; at most 0.01 million pixels are taken."


def test_what_outgrows_its_upload_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A palette of noise that becomes too large as RGB is refused, and its copy is gone."""
    shades = Image.frombytes("L", (512, 512), noise(512, 512, seed=5).tobytes()[: 512 * 512])
    palette = shades.point(lambda value: value & 3).convert("P")
    palette.putpalette(bytes(range(7, 19)))
    data = encoded(palette, "PNG", bits=2)
    monkeypatch.setattr("services.images._GROWTH", 1)
    error = refusal(tmp_path, data, rules=PhotoRules(max_bytes=len(data), min_side=16))
    assert error.code == ErrorCode.FILE_TOO_LARGE
    assert error.message.startswith("Stored, the photo would take ")


@pytest.mark.parametrize("make", [jpeg_bytes, png_bytes, webp_bytes])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_truncated_files_are_refused(tmp_path: Path, make: Any, part: float) -> None:
    """A file cut off anywhere is found, in every kind."""
    data = make()
    assert refusal(tmp_path, data[: int(len(data) * part)]).code == ErrorCode.IMAGE_UNREADABLE


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    """An empty file is refused as such."""
    error = refusal(tmp_path, b"")
    assert (error.code, error.message) == (ErrorCode.IMAGE_UNREADABLE, "The file is empty.")


@pytest.mark.parametrize(
    "data",
    [
        png_of(png_header(600, 600), (b"IDAT", b"not zlib"), (b"IEND", b"")),
        png_of(png_header(600, 600), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")),
        png_of(
            png_header(600, 600),
            (b"zTXt", b"a\x00\x00" + zlib.compress(bytes(80_000_000))),
            (b"IDAT", zlib.compress(bytes(600 * 1801))),
            (b"IEND", b""),
        ),
        png_of((b"IEND", b"")),
        jpeg_bytes()[:2] + b"\xff" * 400,
        b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(100),
        HEIC[:400] + bytes(100),
    ],
    ids=["no zlib", "few rows", "text bomb", "no header", "filler", "webp", "heic"],
)
def test_broken_files_are_refused(tmp_path: Path, data: bytes) -> None:
    """Broken and hostile files are all the same plain refusal."""
    error = refusal(tmp_path, data, rules=SMALL)
    assert error.code == ErrorCode.IMAGE_UNREADABLE
    assert error.message == "The photo cannot be read: it is damaged or incomplete."


@pytest.mark.parametrize(("make", "kind"), [(jpeg_bytes, "jpeg"), (png_bytes, "png"), (webp_bytes, "webp")])
def test_flipped_bytes_never_escape(tmp_path: Path, make: Any, kind: str) -> None:
    """Whatever byte is damaged, the photo is taken or refused; no other exception appears."""
    exif = piexif.dump({"0th": {piexif.ImageIFD.Orientation: 6}})
    more = {"transparency": (1, 2, 3)} if kind == "png" else {}
    data = make(64, 80, exif=exif, icc_profile=swapped_profile(), **more)
    taken = refused = 0
    for index in range(0, len(data), max(1, len(data) // 150)):
        broken = data[:index] + bytes([data[index] ^ 0xFF]) + data[index + 1 :]
        try:
            kept(tmp_path, broken, rules=SMALL)
            taken += 1
        except PhotoRejected:
            refused += 1
    assert taken > 0
    assert refused > 0


@pytest.mark.parametrize("index", [176, 2])
def test_a_heic_that_ends_its_process_is_refused(tmp_path: Path, index: int) -> None:
    """A HEIC on which libheif dies of a segmentation fault (byte 176 in 1.23) is one refused photo."""
    error = refusal(tmp_path, HEIC[:index] + bytes([HEIC[index] ^ 0xFF]) + HEIC[index + 1 :], rules=SMALL)
    assert error.code == ErrorCode.IMAGE_UNREADABLE


def test_a_heic_is_judged_by_the_same_rules(tmp_path: Path) -> None:
    """The sentence of a refusal comes back from the other process unchanged."""
    error = refusal(tmp_path, HEIC)
    assert error.code == ErrorCode.IMAGE_TOO_SMALL
    assert error.message == "The photo is 64 x 96 px; each side must have at least 512 px."


def test_a_missing_folder_is_our_own_error_for_heic_too(tmp_path: Path) -> None:
    """An error of the disk in the other process arrives as OSError."""
    (tmp_path / "upload").write_bytes(HEIC)
    with pytest.raises(FileNotFoundError):
        normalise(tmp_path / "upload", tmp_path / "gone" / "kept", rules=SMALL)


def test_a_full_disk_is_not_the_photos_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of our own disk stays an OSError, and no partial file is left."""
    data = jpeg_bytes()

    def full(*args: object, **options: object) -> None:
        (tmp_path / "kept.jpg").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        kept(tmp_path, data)
    assert [file.name for file in tmp_path.iterdir()] == ["upload"]
