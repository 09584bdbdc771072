"""Photos as files: nothing but the pixels survives."""

import struct
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import piexif
from PIL import Image, ImageCms

from services.images import NormalPhoto, PhotoRules, normalise
from tests.photos import jpeg_bytes, png_header, png_of, webp_bytes

RULES = PhotoRules(max_bytes=1024 * 1024, min_side=512)
SMALL = PhotoRules(max_bytes=1024 * 1024, min_side=16)


def kept(folder: Path, data: bytes, *, rules: PhotoRules = RULES, name: str = "kept") -> NormalPhoto:
    source = folder / "upload"
    source.write_bytes(data)
    return normalise(source, folder / name, rules=rules)


def jpeg_markers(data: bytes) -> list[int]:
    markers, at = [], 2
    while data[at + 1] != 0xDA:
        markers.append(data[at + 1])
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return markers


def png_chunks(data: bytes) -> list[bytes]:
    chunks, at = [], 8
    while at < len(data):
        chunks.append(data[at + 4 : at + 8])
        at += 12 + struct.unpack_from(">I", data, at)[0]
    return chunks


def test_nothing_but_pixels_survives_in_a_jpeg(tmp_path: Path) -> None:
    """EXIF, GPS, XMP, profile, comment, thumbnail and a ZIP behind the picture are gone."""
    hidden = BytesIO()
    with zipfile.ZipFile(hidden, "w") as archive:
        archive.writestr("payload.txt", "SECRET-ZIP")
    exif = piexif.dump(
        {
            "0th": {piexif.ImageIFD.Make: b"SECRET-CAMERA"},
            "GPS": {piexif.GPSIFD.GPSLatitudeRef: b"N", piexif.GPSIFD.GPSLatitude: ((52, 1), (31, 1), (12, 1))},
            "Exif": {piexif.ExifIFD.BodySerialNumber: b"SECRET-SERIAL"},
            "1st": {piexif.ImageIFD.Compression: 6},
            "thumbnail": jpeg_bytes(64, 64, comment=b"SECRET-THUMB"),
        }
    )
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = jpeg_bytes(exif=exif, comment=b"SECRET-COMMENT", icc_profile=profile, xmp=b"<x>SECRET-XMP</x>")
    data += hidden.getvalue()
    for secret in (b"SECRET-CAMERA", b"SECRET-COMMENT", b"SECRET-XMP", b"PK\x05\x06", b"ICC_PROFILE"):
        assert secret in data
    written = kept(tmp_path, data).path.read_bytes()
    assert {0xE0, 0xDB, 0xC0, 0xC4} == set(jpeg_markers(written))
    assert b"SECRET" not in written
    assert not zipfile.is_zipfile(BytesIO(written))
    assert written.endswith(b"\xff\xd9")
    assert piexif.load(written)["GPS"] == {}


def test_nothing_but_pixels_survives_in_a_png(tmp_path: Path) -> None:
    """Text chunks before and after the pixels, EXIF, profile and trailing bytes are gone."""
    rows = zlib.compress(b"".join(b"\x00" + b"\x64\x78\x8c" * 520 for _ in range(520)))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "SECRET-CAMERA"
    data = png_of(
        png_header(520, 520),
        (b"iCCP", b"SECRET\x00\x00" + zlib.compress(profile)),
        (b"tEXt", b"Comment\x00SECRET-ONE"),
        (b"eXIf", exif.tobytes()[6:]),
        (b"IDAT", rows),
        (b"zTXt", b"Comment\x00\x00" + zlib.compress(b"SECRET-TWO")),
        (b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00SECRET-XMP"),
        (b"IEND", b""),
    )
    written = kept(tmp_path, data + b"SECRET-TAIL").path.read_bytes()
    assert {b"IHDR", b"IDAT", b"IEND"} == set(png_chunks(written))
    assert b"SECRET" not in written
    with Image.open(BytesIO(written)) as opened:
        assert opened.getpixel((5, 5)) == (0x64, 0x78, 0x8C)


def test_nothing_but_pixels_survives_in_a_webp(tmp_path: Path) -> None:
    """EXIF, XMP and profile of a WebP are gone."""
    exif = Image.Exif()
    exif[0x010F] = "SECRET-CAMERA"
    data = webp_bytes(exif=exif, xmp=b"SECRET-XMP", icc_profile=b"SECRET-PROFILE")
    assert data.count(b"SECRET") == 3
    written = kept(tmp_path, data).path.read_bytes()
    assert {0xE0, 0xDB, 0xC0, 0xC4} == set(jpeg_markers(written))
    assert b"SECRET" not in written
