"""Pure: what a kept picture says of its making, in the places where common tools look.

PNG: text chunks and XMP. JPEG and WebP: EXIF and XMP. Only the container is written anew, never a pixel. What the
provider had written there goes, so that the file says what we mean it to say and nothing else: the prompt as its
owner gave it, seed, model, run and whether the sandbox drew it; no user, no photo, no trigger word.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from PIL import Image

SOFTWARE = "likeness"
# https://cv.iptc.org/newscodes/digitalsourcetype/: made by a trained model.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
NAMESPACE = "urn:likeness:provenance:1"
PNG_MARK, XMP_KEYWORD, JPEG_XMP = b"\x89PNG\r\n\x1a\n", b"XML:com.adobe.xmp", b"http://ns.adobe.com/xap/1.0/\0"
PNG_DROPPED = {b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"caBX"}
APP0, APP1, APP11, COMMENT, SCAN = 0xE0, 0xE1, 0xEB, 0xFE, 0xDA
SOFTWARE_TAG, DESCRIPTION_TAG, ORIENTATION_TAG = 0x0131, 0x010E, 0x0112
# EXIF 2.32, 4.6.8: a JPEG must have XResolution, YResolution (72), ResolutionUnit (inches), YCbCrPositioning (centred).
REQUIRED_TAGS = {0x011A: 72.0, 0x011B: 72.0, 0x0128: 2, 0x0213: 1}
ALPHA, EXIF, XMP = 0x10, 0x08, 0x04  # flags of a WebP file's VP8X chunk


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The essentials of a picture's making."""

    prompt: str
    seed: str
    model: str
    run_id: str
    simulated: bool


def stamp(path: Path, facts: Provenance) -> None:
    """Write the facts into a PNG, JPEG or WebP file in place. Raises `ValueError` for a container that is broken."""
    data = path.read_bytes()
    try:
        if data.startswith(PNG_MARK):
            path.write_bytes(_png(data, facts))
        elif data.startswith(b"\xff\xd8"):
            path.write_bytes(_jpeg(data, facts))
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            path.write_bytes(_webp(data, facts))
    except (IndexError, struct.error) as error:
        raise ValueError("the file's container is broken") from error


def xmp(facts: Provenance) -> bytes:
    """The facts as an XMP packet (ISO 16684-1), in UTF-8."""
    ours = {"model": facts.model, "seed": facts.seed, "runId": facts.run_id, "simulated": str(facts.simulated)}
    attributes = " ".join(f"likeness:{name}={quoteattr(value)}" for name, value in ours.items())
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        f' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:likeness="{NAMESPACE}"'
        f' xmp:CreatorTool="{SOFTWARE}" Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}" {attributes}>'
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{escape(facts.prompt)}</rdf:li></rdf:Alt>'
        '</dc:description></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    )
    return packet.encode(errors="replace")


def _exif(facts: Provenance, data: bytes) -> bytes:
    """EXIF holds ASCII only, so the facts stand there as JSON; the orientation stays, because viewers turn by it."""
    exif = Image.Exif()
    exif.update(REQUIRED_TAGS)
    exif[SOFTWARE_TAG] = SOFTWARE
    exif[DESCRIPTION_TAG] = json.dumps(asdict(facts))
    with Image.open(BytesIO(data)) as image:
        if (turned := image.getexif().get(ORIENTATION_TAG, 1)) != 1:
            exif[ORIENTATION_TAG] = turned
    content: bytes = exif.tobytes()
    return content


def _png(data: bytes, facts: Provenance) -> bytes:
    texts = {"Software": SOFTWARE, "Description": facts.prompt, "Model": facts.model, "Seed": facts.seed}
    texts |= {"Run": facts.run_id, "Simulated": str(facts.simulated)}
    written = [_international(name.encode(), text.encode(errors="replace")) for name, text in texts.items()]
    written.append(_international(XMP_KEYWORD, xmp(facts)))
    chunks = list(_png_chunks(data))
    kept = [_png_chunk(kind, content) for kind, content in chunks if kind not in PNG_DROPPED]
    return b"".join([PNG_MARK, kept[0], *written, *kept[1:]])


def _international(keyword: bytes, text: bytes) -> bytes:
    return _png_chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text)


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG_MARK)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        yield kind, data[at + 8 : at + 8 + length]
        at += length + 12
        if kind == b"IEND":
            return


def _jpeg(data: bytes, facts: Provenance) -> bytes:
    """Our segments follow JFIF's (APP0), which must come first."""
    segments, rest = _jpeg_segments(data)
    ours = [_segment(APP1, _exif(facts, data)), _segment(APP1, JPEG_XMP + xmp(facts))]
    first = [whole for marker, whole in segments if marker == APP0]
    others = [whole for marker, whole in segments if marker not in {APP0, APP1, APP11, COMMENT}]
    return b"".join([data[:2], *first, *ours, *others, rest])


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _jpeg_segments(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The segments before the first scan, and everything from there on."""
    segments: list[tuple[int, bytes]] = []
    at = 2
    while True:
        while data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = data[at + 1]
        if marker == SCAN:
            return segments, data[at:]
        (length,) = struct.unpack_from(">H", data, at + 2)
        segments.append((marker, data[at : at + 2 + length]))
        at += 2 + length


def _webp(data: bytes, facts: Provenance) -> bytes:
    chunks = [(kind, content) for kind, content in _webp_chunks(data) if kind not in {b"EXIF", b"XMP "}]
    if chunks[0][0] == b"VP8X":
        head, chunks = bytearray(chunks[0][1]), chunks[1:]
    else:
        head = _extended(data, chunks[0][1] if chunks[0][0] == b"VP8L" else b"")
    head[0] |= EXIF | XMP
    chunks = [(b"VP8X", bytes(head)), *chunks]
    chunks += [(b"EXIF", _exif(facts, data).removeprefix(b"Exif\0\0")), (b"XMP ", xmp(facts))]
    body = b"".join(_webp_chunk(kind, content) for kind, content in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _extended(data: bytes, lossless: bytes) -> bytearray:
    """The head that a simple WebP file does not have: flags, then the sides less one in 24 bits each (RFC 9649)."""
    with Image.open(BytesIO(data)) as image:
        sides = b"".join((side - 1).to_bytes(3, "little") for side in image.size)
    clear = bool(lossless) and bool(struct.unpack_from("<I", lossless, 1)[0] >> 28 & 1)
    return bytearray(bytes([ALPHA if clear else 0, 0, 0, 0]) + sides)


def _webp_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
