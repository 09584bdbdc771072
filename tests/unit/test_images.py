"""Photos as files: what a taken photo looks like when it is kept."""

import hashlib
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from services.images import NormalPhoto, PhotoRules, file_sha256, normalise
from tests.photos import (
    HEIC,
    encoded,
    jpeg_bytes,
    noise,
    noisy_jpeg,
    png_bytes,
    png_header,
    png_of,
    swapped_profile,
    webp_bytes,
)

RULES = PhotoRules(max_bytes=1024 * 1024, min_side=512)
SMALL = PhotoRules(max_bytes=1024 * 1024, min_side=16)


def kept(folder: Path, data: bytes, *, rules: PhotoRules = RULES, name: str = "kept") -> NormalPhoto:
    source = folder / "upload"
    source.write_bytes(data)
    return normalise(source, folder / name, rules=rules)


@pytest.mark.parametrize(
    ("data", "content_type", "extension", "kind"),
    [
        (jpeg_bytes(640, 600), "image/jpeg", ".jpg", "JPEG"),
        (png_bytes(640, 600), "image/png", ".png", "PNG"),
        (webp_bytes(640, 600), "image/jpeg", ".jpg", "JPEG"),
    ],
)
def test_kinds_are_decided_by_content(
    tmp_path: Path, data: bytes, content_type: str, extension: str, kind: str
) -> None:
    """A photo is written under its true extension with its size and both hashes."""
    photo = kept(tmp_path, data)
    written = (tmp_path / f"kept{extension}").read_bytes()
    expected = NormalPhoto(
        path=tmp_path / f"kept{extension}",
        content_type=content_type,
        extension=extension,
        width=640,
        height=600,
        bytes=len(written),
        sha256=hashlib.sha256(written).hexdigest(),
        source_sha256=hashlib.sha256(data).hexdigest(),
    )
    assert expected == photo
    with Image.open(photo.path) as opened:
        assert (kind, "RGB", (640, 600)) == (opened.format, opened.mode, opened.size)


@pytest.mark.parametrize("make", [jpeg_bytes, png_bytes, webp_bytes])
def test_the_same_photo_gives_the_same_bytes(tmp_path: Path, make: Any) -> None:
    """Normalising is deterministic."""
    data = make()
    first = kept(tmp_path, data, name="first")
    second = kept(tmp_path, data, name="second")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256 == file_sha256(first.path)


def test_a_jpeg_keeps_its_quality(tmp_path: Path) -> None:
    """A JPEG is written with its own quantisation tables and subsampling, so a second round changes nothing visible."""
    data = encoded(noise(640, 640, seed=3), "JPEG", quality=83, subsampling="4:2:2")
    photo = kept(tmp_path, data)
    with Image.open(BytesIO(data)) as before, Image.open(photo.path) as after:
        assert before.quantization == {0: after.quantization[0], 1: after.quantization[1]}
        assert before.layer == [(*layer[:3], min(layer[3], 1)) for layer in after.layer]
        pairs = zip(before.convert("L").tobytes(), after.convert("L").tobytes(), strict=True)
        assert sum(abs(a - b) for a, b in pairs) / (640 * 640) < 1.5


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("make", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int, make: str) -> None:
    """For all eight orientations the stored pixels are the upright ones, also when several strips are needed."""
    monkeypatch.setattr("services.pixels._STRIP_PIXELS", 64 * 24)
    upright = Image.radial_gradient("L").resize((64, 80)).convert("RGB")
    upright.paste((250, 20, 20), (0, 0, 24, 16))
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = upright if undo == 1 else upright.transpose(_TRANSPOSE[undo])
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = kept(tmp_path, encoded(stored, make, exif=exif, quality=95), rules=SMALL)
    assert (photo.width, photo.height) == (64, 80)
    with Image.open(photo.path) as opened:
        assert dict(opened.getexif()) == {}
        pairs = zip(upright.tobytes(), opened.tobytes(), strict=True)
        assert sum(abs(a - b) for a, b in pairs) / (64 * 80 * 3) < 4


_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def test_a_wide_gamut_profile_is_converted(tmp_path: Path) -> None:
    """The numbers of a photo in another colour space change so that it looks the same in sRGB."""
    profile = swapped_profile()
    data = png_bytes(colour=(200, 40, 40), icc_profile=profile)
    with Image.open(kept(tmp_path, data).path) as opened:
        red, green, _ = opened.getpixel((600, 600))
    assert green > red


@pytest.mark.parametrize("profile", [b"nonsense", b"\x00" * 200, swapped_profile()[:300]])
def test_a_broken_profile_is_dropped(tmp_path: Path, profile: bytes) -> None:
    """A profile that cannot be used costs nothing: the pixels stay."""
    with Image.open(kept(tmp_path, png_bytes(colour=(9, 99, 199), icc_profile=profile)).path) as opened:
        assert opened.getpixel((600, 600)) == (9, 99, 199)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.new("L", (520, 520), 77), (77, 77, 77)),
        (Image.new("1", (520, 520), 1), (255, 255, 255)),
        (Image.new("LA", (520, 520), (0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (520, 520), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (520, 520), (10, 20, 30, 255)), (10, 20, 30)),
        (Image.new("RGB", (520, 520), (10, 20, 30)).convert("P", palette=Image.Palette.ADAPTIVE), (10, 20, 30)),
        (Image.new("I;16", (520, 520), 0x4040), (0x40, 0x40, 0x40)),
        (Image.new("I;16", (520, 520), 0xFFFF), (255, 255, 255)),
    ],
    ids=["grey", "bits", "clear grey", "clear", "opaque", "palette", "16 bits", "16 bits white"],
)
def test_every_mode_becomes_rgb(tmp_path: Path, picture: Image.Image, expected: tuple[int, int, int]) -> None:
    """Grey, palette, 16-bit and transparent PNGs become opaque RGB with the colours one sees."""
    with Image.open(kept(tmp_path, encoded(picture, "PNG")).path) as opened:
        assert ("RGB", expected) == (opened.mode, opened.getpixel((300, 300)))


def test_sixteen_bit_colour_is_scaled(tmp_path: Path) -> None:
    """A 48-bit PNG keeps its tones instead of being clipped."""
    rows = zlib.compress(b"".join(b"\x00" + b"\x40\x00\x80\x00\xc0\x00" * 520 for _ in range(520)))
    data = png_of(png_header(520, 520, depth=16), (b"IDAT", rows), (b"IEND", b""))
    with Image.open(kept(tmp_path, data).path) as opened:
        assert opened.getpixel((300, 300)) == (0x40, 0x80, 0xC0)


def test_one_transparent_colour_becomes_white(tmp_path: Path) -> None:
    """A PNG whose transparency is a single colour (tRNS) shows white there."""
    data = png_bytes(colour=(1, 2, 3), transparency=(1, 2, 3))
    with Image.open(kept(tmp_path, data).path) as opened:
        assert opened.getpixel((600, 600)) == (255, 255, 255)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    """A CMYK JPEG is converted, not inverted."""
    data = encoded(Image.new("CMYK", (520, 520), (0, 255, 255, 0)), "JPEG")
    with Image.open(kept(tmp_path, data).path) as opened:
        red, green, blue = opened.getpixel((300, 300))
    assert red > 240
    assert max(green, blue) < 15


def test_the_second_picture_of_an_mpo_is_dropped(tmp_path: Path) -> None:
    """A phone's multi-picture JPEG is taken as its first picture."""
    first, second = Image.new("RGB", (640, 600), (200, 0, 0)), Image.new("RGB", (640, 600), (0, 0, 200))
    photo = kept(tmp_path, encoded(first, "MPO", save_all=True, append_images=[second]))
    with Image.open(photo.path) as opened:
        assert opened.format == "JPEG"
        assert opened.getpixel((300, 300))[0] > 190
    assert photo.path.read_bytes().count(b"\xff\xd8\xff") == 1


def test_heic_becomes_an_upright_jpeg(tmp_path: Path) -> None:
    """With the extra installed a HEIC is stored as JPEG, turned once and without its EXIF."""
    assert b"SecretCam" in HEIC
    photo = kept(tmp_path, HEIC, rules=SMALL)
    assert (photo.content_type, photo.extension, photo.width, photo.height) == ("image/jpeg", ".jpg", 64, 96)
    assert b"SecretCam" not in photo.path.read_bytes()
    with Image.open(photo.path) as opened:
        assert opened.getpixel((32, 10))[0] > 180
        assert opened.getpixel((32, 85))[2] > 180


def test_noise_of_the_wanted_size_is_big(tmp_path: Path) -> None:
    """The factory for large files makes files that stay large and are taken."""
    data = noisy_jpeg(900, 900, seed=2, quality=95)
    assert len(data) > 900_000
    assert len(data) * 0.9 < kept(tmp_path, data, rules=PhotoRules(max_bytes=2**21, min_side=512)).bytes
