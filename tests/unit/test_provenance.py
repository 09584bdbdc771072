"""What a kept picture says of itself: readable by common tools, without a changed pixel and without a person."""

import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import ExifTags, Image, PngImagePlugin

from models.errors import ResultUnusable
from services.pictures import PLACEHOLDER_CHARACTERS, finish_picture, placeholder
from services.provenance import DESCRIPTION_TAG, ORIENTATION_TAG, SOFTWARE_TAG, Provenance, stamp, xmp

FACTS = Provenance(
    prompt='a <portrait> & "tea" 茶 🎨\nin oil', seed="42", model="fal-ai/flux-lora", run_id="run-1", simulated=True
)
DESCRIPTION = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
OURS = "{urn:likeness:provenance:1}"


def picture(mode: str = "RGB", size: tuple[int, int] = (61, 40)) -> Image.Image:
    return Image.effect_noise(size, 90).convert(mode)


FILES: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    "png": (picture(), {"format": "PNG"}),
    "png with alpha": (picture("RGBA"), {"format": "PNG"}),
    "png with a palette": (picture("P"), {"format": "PNG"}),
    "jpeg": (picture(), {"format": "JPEG"}),
    "grey jpeg": (picture("L"), {"format": "JPEG"}),
    "progressive jpeg": (picture(), {"format": "JPEG", "progressive": True, "icc_profile": b"profile" * 20}),
    "cmyk jpeg": (picture("CMYK"), {"format": "JPEG"}),
    "jpeg with restarts": (picture(), {"format": "JPEG", "restart_marker_rows": 1}),
    "webp": (picture(), {"format": "WEBP"}),
    "webp of odd length": (picture(size=(60, 41)), {"format": "WEBP", "quality": 3}),
    "lossless webp": (picture(), {"format": "WEBP", "lossless": True}),
    "lossless webp with alpha": (picture("RGBA"), {"format": "WEBP", "lossless": True}),
    "webp with alpha": (picture("RGBA"), {"format": "WEBP"}),
    "webp with a profile": (picture(), {"format": "WEBP", "icc_profile": b"profile" * 20}),
}


def saved(folder: Path, name: str, **more: Any) -> Path:
    image, options = FILES[name]
    image.save(folder / "file", **options | more)
    return folder / "file"


def pixels(path: Path) -> tuple[str, bytes, Any]:
    with Image.open(path) as image:
        image.load()
        return image.mode, image.tobytes(), image.info.get("icc_profile")


def said(packet: bytes) -> tuple[str | None, dict[str, str]]:
    """Description and our own attributes of an XMP packet."""
    [node] = ElementTree.fromstring(packet.strip(b"\0")).iter(DESCRIPTION)
    description = next(node.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li")).text
    return description, {name.removeprefix(OURS): v for name, v in node.attrib.items() if name.startswith(OURS)}


@pytest.mark.parametrize("name", FILES)
def test_pixels_stay(tmp_path: Path, name: str) -> None:
    """Mode, pixels and colour profile are what they were; stamping twice is stamping once."""
    path = saved(tmp_path, name)
    before = pixels(path)
    stamp(path, FACTS)
    assert before == pixels(path)
    once = path.read_bytes()
    stamp(path, FACTS)
    assert once == path.read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_common_readers_find_the_facts(tmp_path: Path, name: str) -> None:
    """Pillow shows the XMP everywhere, text chunks in PNG and EXIF in the others."""
    path = saved(tmp_path, name)
    stamp(path, FACTS)
    expected = {"model": "fal-ai/flux-lora", "seed": "42", "runId": "run-1", "simulated": "True"}
    with Image.open(path) as image:
        image.load()
        packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
        assert (FACTS.prompt, expected) == said(packet)
        if image.format == "PNG":
            assert (FACTS.prompt, "likeness", "42") == tuple(image.text[k] for k in ("Description", "Software", "Seed"))
        else:
            exif = image.getexif()
            assert "likeness" == exif[SOFTWARE_TAG]
            assert {"prompt": FACTS.prompt, "seed": "42"}.items() <= json.loads(exif[DESCRIPTION_TAG]).items()


def test_what_the_provider_wrote_goes(tmp_path: Path) -> None:
    """Its texts, comments and EXIF are not handed on; only the orientation stays, because viewers turn by it."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "somebody@example.org")
    path = saved(tmp_path, "png", pnginfo=texts)
    stamp(path, FACTS)
    assert b"somebody" not in path.read_bytes()
    exif = Image.Exif()
    exif[0x013B], exif[ORIENTATION_TAG] = "somebody@example.org", 6
    for name in ("jpeg", "webp"):
        path = saved(tmp_path, name, exif=exif)
        stamp(path, FACTS)
        assert b"somebody" not in path.read_bytes()
        with Image.open(path) as image:
            assert 6 == image.getexif()[ORIENTATION_TAG]


def test_xmp_is_xml_whatever_was_written() -> None:
    """What XML forbids is replaced; all else stays as it is."""
    prompt = "a\ufffe\uffff\ud83d\x07\U0001f3a8\u202e\x85"
    packet = xmp(replace(FACTS, prompt=prompt, run_id="r\uffff & s"))
    lost = "\ufffd"
    description, facts = said(packet)
    assert (f"a{lost * 4}\U0001f3a8\u202e\x85", f"r{lost} & s") == (description, facts["runId"])


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)


def at_start_of_scans(data: bytes, extra: bytes) -> bytes:
    """A JPEG file with `extra` before each scan."""
    return re.sub(rb"\xff\xda\x00", lambda scan: extra + scan[0], data)


@pytest.mark.parametrize("name", ["jpeg", "grey jpeg", "progressive jpeg", "cmyk jpeg", "jpeg with restarts"])
def test_of_a_jpeg_only_the_picture_stays(tmp_path: Path, name: str) -> None:
    """IPTC, comments and everything else of the provider's goes, between scans too, and what is behind the end."""
    path = saved(tmp_path, name)
    before = pixels(path)
    foreign = b"somebody@example.org"
    iptc = b"Photoshop 3.0\0" + b"8BIM\4\4\0\0" + len(foreign).to_bytes(4) + foreign
    kinds = [0xE0, 0xE2, 0xE3, 0xEB, 0xEC, 0xEE, 0xEF, 0xFE]
    extra = segment(0xED, iptc) + b"".join(segment(marker, foreign) for marker in kinds) + b"\xff\xff"
    data = at_start_of_scans(path.read_bytes(), extra)
    path.write_bytes(data[:2] + extra + data[2:] + foreign)
    stamp(path, FACTS)
    assert (before, b"\xff\xd9") == (pixels(path), path.read_bytes()[-2:])
    assert foreign not in path.read_bytes()


def test_of_png_and_webp_only_the_picture_stays(tmp_path: Path) -> None:
    """Chunks that say nothing of how the picture looks go, and what is behind the end."""
    foreign = b"somebody@example.org"
    path = saved(tmp_path, "png with a palette", transparency=0, icc_profile=b"profile" * 20)
    before, data = pixels(path), path.read_bytes()
    path.write_bytes(data[:33] + chunk(b"prVt", foreign) + data[33:] + foreign)
    stamp(path, FACTS)
    assert before == pixels(path)
    assert foreign not in path.read_bytes()
    path = saved(tmp_path, "webp with a profile")
    before, body = pixels(path), path.read_bytes()[8:] + b"PRVT" + len(foreign).to_bytes(4, "little") + foreign
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body + b"TAIL" + bytes(4) + foreign)
    stamp(path, FACTS)
    assert before == pixels(path)
    assert foreign not in path.read_bytes()


def test_xmp_says_that_a_model_made_it() -> None:
    """IPTC's word for it, which platforms read."""
    assert b"digitalsourcetype/trainedAlgorithmicMedia" in xmp(FACTS)


@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_a_finished_picture(tmp_path: Path, name: str) -> None:
    """Size and kind by content, the hash is that of the file as it is kept, and the miniature is short."""
    done = finish_picture(saved(tmp_path, name), FACTS)
    assert (61, 40, f"image/{name}") == (done.width, done.height, done.content_type)
    assert hashlib.sha256(done.path.read_bytes()).hexdigest() == done.sha256
    assert b"run-1" in done.path.read_bytes()
    assert len(done.placeholder) <= PLACEHOLDER_CHARACTERS


@pytest.mark.parametrize(("orientation", "size", "first"), [(1, (61, 40), "red"), (6, (40, 61), "blue")])
@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_a_turned_picture_is_described_as_it_is_shown(
    tmp_path: Path, name: str, orientation: int, size: tuple[int, int], first: str
) -> None:
    """Sides and miniature are those of the upright picture."""
    image, exif = Image.new("RGB", (61, 40), "red"), Image.Exif()
    image.paste("blue", (0, 20, 61, 40))
    exif[ORIENTATION_TAG] = orientation
    image.save(tmp_path / "file", name, exif=exif)
    done = finish_picture(tmp_path / "file", FACTS)
    assert size == (done.width, done.height)
    with Image.open(BytesIO(base64.b64decode(done.placeholder.partition(",")[2]))) as miniature:
        assert (size[0] > size[1]) == (miniature.width > miniature.height)
        red, _, blue = cast("tuple[int, int, int]", miniature.getpixel((0, 0)))
        assert first == ("red" if red > blue else "blue")


def test_broken_exif_costs_no_picture(tmp_path: Path) -> None:
    """A tag of the wrong kind says nothing of the pixels."""
    exif = Image.Exif()
    exif[ExifTags.Base.ResolutionUnit], exif[ORIENTATION_TAG] = 2, 6
    broken = exif.tobytes().replace(b"\x01\x28\0\3", b"\x01\x28\0\x0b")  # a float where a short number stands
    done = finish_picture(saved(tmp_path, "jpeg", exif=broken), FACTS)
    assert (40, 61) == (done.width, done.height)
    done = finish_picture(saved(tmp_path, "webp", exif=b"Exif\0\0no table"), FACTS)
    assert (61, 40) == (done.width, done.height)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"<svg/>"])
def test_broken_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """What cannot be decoded is no picture."""
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ResultUnusable):
        finish_picture(tmp_path / "file", FACTS)


@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_cut_files_are_refused(tmp_path: Path, name: str) -> None:
    """The last row must be there."""
    path = saved(tmp_path, name)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ResultUnusable):
        finish_picture(path, FACTS)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (1024, 1024), (3000, 7), (7, 3000)])
def test_placeholders_are_short(mode: str, size: tuple[int, int]) -> None:
    """Even noise gives a `data:` URI of at most 400 characters, which is a picture of the same shape."""
    uri = placeholder(picture(mode, size))
    assert len(uri) <= PLACEHOLDER_CHARACTERS
    head, _, data = uri.partition(",")
    assert "data:image/webp;base64" == head
    with Image.open(BytesIO(base64.b64decode(data))) as image:
        assert (size[0] >= size[1]) == (image.width >= image.height)
