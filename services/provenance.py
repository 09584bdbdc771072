"""Pure: what a kept picture says of its making, in the places where common tools look.

PNG: text chunks and XMP. JPEG and WebP: EXIF and XMP. Only the container is written anew, never a pixel. Of what the
provider had written only that stays which a viewer needs to show the picture, so that the file says what we mean it
to say and nothing else: the prompt as its owner gave it, seed, model, run and whether the sandbox drew it; no user,
no photo, no trigger word.
"""

import json
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from PIL import Image

from services.pixels import orientation_of

SOFTWARE = "likeness"
# https://cv.iptc.org/newscodes/digitalsourcetype/: made by a trained model.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
NAMESPACE = "urn:likeness:provenance:1"
# https://www.w3.org/TR/xml/#charsets: what may stand in no XML document, not even escaped.
NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
PNG_MARK, XMP_KEYWORD, JPEG_XMP = b"\x89PNG\r\n\x1a\n", b"XML:com.adobe.xmp", b"http://ns.adobe.com/xap/1.0/\0"
# Chunks that decide how a picture looks (PNG third edition, 11.2 and 11.3), its size in print, and its animation.
PNG_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV"}
PNG_KEPT |= {b"cLLI", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT"}
WEBP_KEPT = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP", b"ANIM", b"ANMF"}
APP0, APP1, SCAN, COMMENT, JPEG_END = 0xE0, 0xE1, 0xDA, 0xFE, b"\xff\xd9"
APPLICATION = range(0xE0, 0xF0)
JPEG_KEPT = {APP0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}  # the application segments that decoders read
# ITU-T T.81, B.1.1: in coded data 0xFF is followed by 0 or a restart's number; more of them before a marker fill up.
JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
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
    """The facts as an XMP packet (ISO 16684-1), in UTF-8; characters that XML forbids become U+FFFD."""
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
    return NOT_XML.sub("\ufffd", packet).encode()


def _exif(facts: Provenance, data: bytes) -> bytes:
    """EXIF holds ASCII only, so the facts stand there as JSON; the orientation stays, because viewers turn by it."""
    exif = Image.Exif()
    exif.update(REQUIRED_TAGS)
    exif[SOFTWARE_TAG] = SOFTWARE
    exif[DESCRIPTION_TAG] = json.dumps(asdict(facts))
    with Image.open(BytesIO(data)) as image:
        if (orientation := orientation_of(image)) != 1:
            exif[ORIENTATION_TAG] = orientation
    content: bytes = exif.tobytes()
    return content


def _png(data: bytes, facts: Provenance) -> bytes:
    texts = {"Software": SOFTWARE, "Description": facts.prompt, "Model": facts.model, "Seed": facts.seed}
    texts |= {"Run": facts.run_id, "Simulated": str(facts.simulated)}
    written = [_international(name.encode(), text.encode(errors="replace")) for name, text in texts.items()]
    written.append(_international(XMP_KEYWORD, xmp(facts)))
    kept = [_png_chunk(kind, content) for kind, content in _png_chunks(data) if kind in PNG_KEPT]
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
    ours = [_segment(APP1, _exif(facts, data)), _segment(APP1, JPEG_XMP + xmp(facts))]
    kept = [(marker, part) for marker, part in _jpeg_parts(data) if _shows(marker, part)]
    first = [part for marker, part in kept if marker == APP0]
    others = [part for marker, part in kept if marker != APP0]
    return b"".join([data[:2], *first, *ours, *others, JPEG_END])


def _shows(marker: int, part: bytes) -> bool:
    """Whether a part of a JPEG file is needed to show it."""
    if marker in APPLICATION:
        return marker in JPEG_KEPT and part[4:].startswith(JPEG_KEPT[marker])
    return marker != COMMENT


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _jpeg_parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The segments up to the end of the image, a scan's with its coded data."""
    found = JPEG_MARKER.search(data, 2)
    while found and found[0] != JPEG_END:
        at, marker = found.start(), found[1][0]
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        found = JPEG_MARKER.search(data, end)
        if marker == SCAN:
            end = found.start() if found else len(data)
        yield marker, data[at:end]


def _webp(data: bytes, facts: Provenance) -> bytes:
    chunks = [(kind, content) for kind, content in _webp_chunks(data) if kind in WEBP_KEPT]
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
    at, end = 12, min(struct.unpack_from("<I", data, 4)[0] + 8, len(data))
    while at + 8 <= end:
        (length,) = struct.unpack_from("<I", data, at + 4)
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
