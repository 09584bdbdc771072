"""A user's ZIP: what comes out of a good one, and that a hostile one leaves nothing behind."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from models.errors import ArchiveRejected
from services.archives import UnpackedFile, unpack
from tests.photos import jpeg_bytes, png_bytes

LIMITS: dict[str, int] = {"max_entries": 20, "max_entry_bytes": 2**21, "max_total_bytes": 2**23}
JPEG = jpeg_bytes(64, 64)
PNG = png_bytes(64, 64)


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


def linked(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    return entry


def test_files_come_out_in_order_with_their_names(tmp_path: Path) -> None:
    """Files become 001, 002 ... and keep only the last part of their name, to show."""
    files = unpacked(tmp_path, zipped(("photos/b.jpg", JPEG), ("a.png", PNG), ("notes.pdf", b"%PDF")))
    out = tmp_path / "out"
    assert [
        UnpackedFile(path=out / "001", name="b.jpg"),
        UnpackedFile(path=out / "002", name="a.png"),
        UnpackedFile(path=out / "003", name="notes.pdf"),
    ] == files
    assert [file.path.read_bytes() for file in files] == [JPEG, PNG, b"%PDF"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_both_plain_methods_are_read(tmp_path: Path, method: int) -> None:
    """Stored and deflated entries come out the same."""
    assert [file.path.read_bytes() for file in unpacked(tmp_path, zipped(("a.jpg", JPEG), method=method))] == [JPEG]


def test_what_no_one_meant_to_send_is_left_out(tmp_path: Path) -> None:
    """Folders, Mac shadows, hidden and system files and captions are skipped."""
    data = zipped(
        ("photos/", b""),
        ("back\\slash\\", b""),
        ("__MACOSX/._a.jpg", b"shadow"),
        ("photos/__MACOSX/x.jpg", b"shadow"),
        (".DS_Store", b"x"),
        ("photos/.hidden.jpg", b"x"),
        ("Thumbs.db", b"x"),
        ("desktop.ini", b"x"),
        ("photos/a.TXT", b"a caption"),
        ("photos/a.jpg", JPEG),
    )
    assert [file.name for file in unpacked(tmp_path, data)] == ["a.jpg"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_is_two_files(tmp_path: Path) -> None:
    """Entries of the same name are both taken."""
    files = unpacked(tmp_path, zipped(("a.jpg", JPEG), ("a.jpg", PNG)))
    assert [(file.name, file.path.read_bytes()) for file in files] == [("a.jpg", JPEG), ("a.jpg", PNG)]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../evil.jpg", "evil.jpg"),
        ("/etc/evil.jpg", "evil.jpg"),
        ("..\\..\\evil.jpg", "evil.jpg"),
        ("C:\\evil.jpg", "evil.jpg"),
        ("a/b/\x1b[31mred.jpg", "[31mred.jpg"),
        ("é" * 300, "é" * 255),
    ],
)
def test_names_are_never_paths(tmp_path: Path, name: str, shown: str) -> None:
    """A name that climbs out of the folder only gives a name to show."""
    files = unpacked(tmp_path, zipped((name, JPEG)))
    assert [UnpackedFile(path=tmp_path / "out" / "001", name=shown)] == files
    assert {"upload.zip", "out", "001"} == {file.name for file in tmp_path.rglob("*")}


@pytest.mark.parametrize("data", [b"", b"hello", JPEG, JPEG + zipped(("a.jpg", JPEG)), b"Rar!\x1a\x07\x00"])
def test_what_is_no_zip_is_named(tmp_path: Path, data: bytes) -> None:
    """Other files, pictures with a ZIP behind them included, are not archives."""
    assert refused("it is not a ZIP file.") == refusal(tmp_path, data)


@pytest.mark.parametrize("data", [zipped(), zipped(("photos/", b"")), zipped(("a.txt", b"only a caption"))])
def test_an_archive_without_photos_is_named(tmp_path: Path, data: bytes) -> None:
    """An archive from which nothing comes is refused."""
    assert refused("it holds no photos.") == refusal(tmp_path, data)


@pytest.mark.parametrize(
    "inner",
    [
        zipped(("a.jpg", JPEG)),
        zipped(),
        gzip.compress(b"x"),
        bz2.compress(b"x"),
        lzma.compress(b"x"),
        b"7z\xbc\xaf\x27\x1c" + bytes(30),
        b"Rar!\x1a\x07\x01\x00" + bytes(30),
        b"\x28\xb5\x2f\xfd" + bytes(30),
        bytes(257) + b"ustar\x0000" + bytes(250),
    ],
    ids=["zip", "empty zip", "gz", "bz2", "xz", "7z", "rar", "zstd", "tar"],
)
def test_archives_in_archives_are_refused(tmp_path: Path, inner: bytes) -> None:
    """An archive inside, whatever it is called, refuses the whole."""
    data = zipped(("a.jpg", JPEG), ("photo.jpg", inner))
    assert refused("photo.jpg is itself an archive.") == refusal(tmp_path, data)


def test_a_real_tar_inside_is_recognised(tmp_path: Path) -> None:
    """The mark of a tar written by Python lies where it is looked for."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    data = zipped(("photo.jpg", out.getvalue()))
    assert refused("photo.jpg is itself an archive.") == refusal(tmp_path, data)


def test_encrypted_files_are_refused(tmp_path: Path) -> None:
    """An entry that needs a password is named."""
    data = bytearray(zipped(("a.jpg", JPEG)))
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    assert refused("a.jpg is encrypted.") == refusal(tmp_path, bytes(data))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    """Only plain files are taken."""
    data = zipped((linked("a.jpg", kind), b"/etc/passwd"))
    assert refused("a.jpg is a link or a device, not a file.") == refusal(tmp_path, data)


def test_a_plain_unix_file_is_taken(tmp_path: Path) -> None:
    """The mode a Unix zip program writes is fine."""
    assert [file.name for file in unpacked(tmp_path, zipped((linked("a.jpg", stat.S_IFREG), JPEG)))] == ["a.jpg"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_methods_are_refused(tmp_path: Path, method: int) -> None:
    """Methods that inflate far more than deflate are not read."""
    data = zipped(("a.jpg", JPEG), method=method)
    expected = refused("a.jpg is packed with an unusual method; use plain ZIP.")
    assert expected == refusal(tmp_path, data)


def test_damage_is_found(tmp_path: Path) -> None:
    """A wrong checksum or a cut-off end refuses the archive, and what was written before is gone."""
    data = zipped(("a.jpg", JPEG), ("b.jpg", JPEG), method=zipfile.ZIP_STORED)
    broken = bytearray(data)
    broken[data.rindex(JPEG) + 100] ^= 1
    expected = refused("it is damaged or incomplete.")
    assert expected == refusal(tmp_path, bytes(broken))
    assert expected == refusal(_fresh(tmp_path), data[:-30])


def test_flipped_bytes_never_escape(tmp_path: Path) -> None:
    """Whatever byte is damaged, the archive is unpacked or refused; no other exception appears."""
    data = zipped(("photos/a.jpg", JPEG[:300]), ("b.png", PNG[:100]))
    outcomes: dict[str, int] = {}
    for index in range(len(data)):
        try:
            outcome = str(len(unpacked(tmp_path, data[:index] + bytes([data[index] ^ 0xFF]) + data[index + 1 :])))
        except ArchiveRejected as error:
            outcome = error.message
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert outcomes[refused("it is damaged or incomplete.")] > 100
    assert outcomes["2"] > 0


def test_a_full_disk_is_not_the_archives_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of our own disk stays an OSError, and the files written so far are gone."""
    data = zipped(("a.jpg", JPEG), ("b.jpg", JPEG))
    real_open = Path.open

    def full(path: Path, *args: Any, **options: Any) -> Any:
        if path.name == "002":
            raise OSError(28, "No space left on device")
        return real_open(path, *args, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        unpacked(tmp_path, data)
    assert list((tmp_path / "out").iterdir()) == []
