"""A user's ZIP: whatever it claims, only so much comes out, at little cost."""

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from models.errors import ArchiveRejected
from services.archives import UnpackedFile, unpack
from tests.photos import jpeg_bytes

LIMITS: dict[str, int] = {"max_entries": 20, "max_entry_bytes": 2**21, "max_total_bytes": 2**23}
JPEG = jpeg_bytes(64, 64)


def zipped(*files: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def unpacked(folder: Path, data: bytes, **limits: int) -> list[UnpackedFile]:
    archive = folder / "upload.zip"
    archive.write_bytes(data)
    return unpack(archive, folder / "out", **{**LIMITS, **limits})


def refusal(folder: Path, data: bytes, **limits: int) -> str:
    before = {file.name for file in folder.parent.iterdir()}
    with pytest.raises(ArchiveRejected) as caught:
        unpacked(folder, data, **limits)
    assert before == {file.name for file in folder.parent.iterdir()}
    assert [file.name for file in folder.rglob("*") if file.is_file()] == ["upload.zip"]
    return caught.value.message


def refused(reason: str) -> str:
    return f"The archive was refused: {reason}"


def _fresh(folder: Path) -> Path:
    fresh = folder / "fresh"
    fresh.mkdir()
    return fresh


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    """One more file than allowed is too many; exactly the limit is taken."""
    files = [(f"{number}.jpg", JPEG) for number in range(21)]
    assert len(unpacked(tmp_path, zipped(*files[:20]))) == 20
    assert refused("it holds more than 20 files.") == refusal(_fresh(tmp_path), zipped(*files))


def test_a_long_listing_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of entries, even of those left out, are refused before an object is made for each."""
    data = zipped(*[(f".{number}", b"") for number in range(5000)])
    monkeypatch.setattr(zipfile, "ZipFile", lambda *args: pytest.fail("listed"))
    assert refused("it holds more than 20 files.") == refusal(tmp_path, data)


def test_a_huge_listing_is_not_read(tmp_path: Path) -> None:
    """A listing said to be larger than 4 MiB is refused before it is read into memory."""
    data = bytearray(zipped(("a.jpg", JPEG)) + bytes(6 * 2**20))
    end = data.index(b"PK\x05\x06")
    record = data[end : end + 22]
    struct.pack_into("<II", record, 12, 5 * 2**20, 0)
    assert refused("its list of files is too long.") == refusal(tmp_path, bytes(data + record))


def test_a_bomb_is_refused_by_what_comes_out(tmp_path: Path) -> None:
    """A file that inflates far beyond its size is refused even when the limit would allow it."""
    data = zipped(("bomb.jpg", bytes(64 * 2**20)))
    assert refused("bomb.jpg is larger than 2097152 bytes.") == refusal(tmp_path, data)
    expected = refused("bomb.jpg unpacks to more than 200 times its size.")
    assert expected == refusal(_fresh(tmp_path), data, max_entry_bytes=2**27, max_total_bytes=2**27)


@pytest.mark.parametrize("declared", [0, 10])
def test_a_declared_size_that_is_too_small_is_refused(tmp_path: Path, declared: int) -> None:
    """A bomb that declares a small size is a damaged archive."""
    data = bytearray(zipped(("bomb.jpg", bytes(64 * 2**20))))
    struct.pack_into("<I", data, 22, declared)
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, declared)
    assert refused("it is damaged or incomplete.") == refusal(tmp_path, bytes(data))


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    """A file one byte over the limit is refused by name; the limit itself is taken."""
    data = zipped(("big.jpg", bytes(range(256)) * 4), method=zipfile.ZIP_STORED)
    assert unpacked(tmp_path, data, max_entry_bytes=1024)[0].path.stat().st_size == 1024
    expected = refused("big.jpg is larger than 1023 bytes.")
    assert expected == refusal(_fresh(tmp_path), data, max_entry_bytes=1023)


def test_the_sum_of_the_files_is_limited(tmp_path: Path) -> None:
    """Files that are small alone may not be large together."""
    data = zipped(*[(f"{number}.bin", bytes(1000)) for number in range(5)])
    assert len(unpacked(tmp_path, data, max_total_bytes=5000)) == 5
    expected = refused("unpacked, its files are too large together.")
    assert expected == refusal(_fresh(tmp_path), data, max_total_bytes=4999)


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    """Two entries that point at the same bytes are the makings of a bomb."""
    data = bytearray(zipped(("aa.jpg", JPEG), ("bb.jpg", JPEG)))
    second = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, second + 42, 0)
    assert refused("its files overlap.") == refusal(tmp_path, bytes(data))


def test_an_entry_that_reaches_into_the_listing_is_refused(tmp_path: Path) -> None:
    """A compressed size that is too long cannot be used to look less like a bomb."""
    data = bytearray(zipped(("aa.jpg", JPEG)))
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 20, 2**24)
    assert refused("its files overlap.") == refusal(tmp_path, bytes(data))


@pytest.mark.parametrize("size", [2**40, 2**64 - 1])
def test_zip64_lies_are_refused(tmp_path: Path, size: int) -> None:
    """Sizes of 64 bits that are not true are a damaged archive or an overlap, and cost nothing."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("a.jpg", "w", force_zip64=True) as entry:
        entry.write(JPEG)
    data = bytearray(out.getvalue())
    listed = data.rindex(b"PK\x01\x02")
    name_end = listed + 46 + len("a.jpg")
    struct.pack_into("<II", data, listed + 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", data, listed + 30, 20)
    data[name_end:name_end] = struct.pack("<HHQQ", 1, 16, size, size)
    end = data.rindex(b"PK\x05\x06")
    struct.pack_into("<I", data, end + 12, end - listed)
    assert refused("its files overlap.") == refusal(tmp_path, bytes(data))


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    """Unpacking a file of 16 MiB takes less than 1 MiB of memory."""
    data = zipped(("a.bin", bytes(range(256)) * 2**16), method=zipfile.ZIP_STORED)
    (tmp_path / "upload.zip").write_bytes(data)
    tracemalloc.start()
    try:
        unpack(
            tmp_path / "upload.zip",
            tmp_path / "out",
            max_entries=1,
            max_entry_bytes=2**25,
            max_total_bytes=2**25,
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
