"""A user's ZIP of photos, unpacked without trusting a single byte of it. Pure; run it in a worker thread."""

import io
import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from models.errors import ArchiveRejected

_CHUNK = 64 * 1024
_MAX_RATIO = 200
_FREE_BYTES = 1024 * 1024
_MAX_LISTING_BYTES = 4 * 1024 * 1024
_LOCAL_HEADER = 30
# Encrypted, strongly encrypted, encrypted listing (APPNOTE.TXT 4.4.4).
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_UNIX = 3
_SYSTEM_FILES = ("thumbs.db", "desktop.ini")
_ARCHIVE_MAGIC = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x07\x08",
    b"\x1f\x8b",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\xfd7zXZ\x00",
    b"BZh",
    b"\x28\xb5\x2f\xfd",
)
_TAR_MAGIC_AT = 257


@dataclass(frozen=True, kw_only=True)
class UnpackedFile:
    """A file out of an archive: where it lies now, and what it was called there (to show, never a path)."""

    path: Path
    name: str


def unpack(
    archive: Path, to: Path, *, max_entries: int, max_entry_bytes: int, max_total_bytes: int
) -> list[UnpackedFile]:
    """Write the files of a ZIP into the folder `to` as 001, 002 ... in the archive's order.

    Folders, `__MACOSX/`, hidden files, system files and `.txt` captions are left out. Limits are of files and bytes
    as they really come out. Raises `ArchiveRejected`, with nothing left in `to`, when anything is wrong with the
    archive; what a file contains is not judged, except that it must not be an archive itself.
    """
    made: list[UnpackedFile] = []
    try:
        with _careful(archive, max_entries=max_entries) as opened:
            entries = _chosen(opened, max_entries=max_entries)
            to.mkdir(parents=True, exist_ok=True)
            left = max_total_bytes
            for number, entry in enumerate(entries, start=1):
                made.append(UnpackedFile(path=to / f"{number:03}", name=_shown(entry)))
                left -= _extract(opened, entry, made[-1].path, most=max_entry_bytes, left=left)
    except BaseException:
        for file in made:
            file.path.unlink(missing_ok=True)
        raise
    return made


class _Reader(io.BufferedReader):
    """A file from which the listing, of a size the archive itself names, is never read in one huge piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_LISTING_BYTES:
            raise ArchiveRejected(reason="its list of files is too long.")
        return super().read(size)


@contextmanager
def _careful(path: Path, *, max_entries: int) -> Iterator[zipfile.ZipFile]:
    with _Reader(io.FileIO(path)) as file:
        if file.peek(4)[:4] not in _ARCHIVE_MAGIC[:2]:
            raise ArchiveRejected(reason="it is not a ZIP file.")
        most = _listing_limit(max_entries)
        # Counted before zipfile builds an object for each.
        if sum(chunk.count(b"PK\x01\x02") for chunk in iter(lambda: file.read(_CHUNK), b"")) > most:
            raise _too_many(max_entries)
        file.seek(0)
        with _readable():
            opened = zipfile.ZipFile(file)
        with opened:
            yield opened


@contextmanager
def _readable() -> Iterator[None]:
    """Hostile bytes make zipfile raise nearly anything; all of it is one refusal, except the disk's own errors."""
    try:
        yield
    except (ArchiveRejected, OSError):
        raise
    except Exception as error:
        raise ArchiveRejected(reason="it is damaged or incomplete.") from error


def _listing_limit(max_entries: int) -> int:
    # A photo can bring a caption and two __MACOSX shadows; folders come on top.
    return 4 * max_entries + 16


def _too_many(max_entries: int) -> ArchiveRejected:
    return ArchiveRejected(reason=f"it holds more than {max_entries} files.")


def _chosen(opened: zipfile.ZipFile, *, max_entries: int) -> Sequence[zipfile.ZipInfo]:
    entries = opened.infolist()
    if len(entries) > _listing_limit(max_entries):
        raise _too_many(max_entries)
    _check_overlaps(opened, entries)
    chosen = [entry for entry in entries if not _left_out(entry)]
    if len(chosen) > max_entries:
        raise _too_many(max_entries)
    if not chosen:
        raise ArchiveRejected(reason="it holds no photos.")
    for entry in chosen:
        _check_entry(entry)
    return chosen


def _check_overlaps(opened: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo]) -> None:
    """Entries that share bytes multiply a bomb without nesting (CVE-2024-0450; older Pythons do not look)."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise ArchiveRejected(reason="its files overlap.")
        end = entry.header_offset + _LOCAL_HEADER + entry.compress_size
    if end > opened.start_dir:
        raise ArchiveRejected(reason="its files overlap.")


def _left_out(entry: zipfile.ZipInfo) -> bool:
    name = _slashed(entry)
    parts = PurePosixPath(name).parts
    return (
        name.endswith("/")
        or not parts
        or "__MACOSX" in parts
        or parts[-1].startswith(".")
        or parts[-1].lower().endswith(".txt")
        or parts[-1].lower() in _SYSTEM_FILES
    )


def _slashed(entry: zipfile.ZipInfo) -> str:
    return entry.filename.replace("\\", "/")


def _shown(entry: zipfile.ZipInfo) -> str:
    name = PurePosixPath(_slashed(entry)).name
    return "".join(letter for letter in name if letter.isprintable())[:255]


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = _shown(entry)
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveRejected(reason=f"{name} is encrypted.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.create_system == _UNIX and kind not in (0, stat.S_IFREG):
        raise ArchiveRejected(reason=f"{name} is a link or a device, not a file.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveRejected(reason=f"{name} is packed with an unusual method; use plain ZIP.")


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, to: Path, *, most: int, left: int) -> int:
    """Write one entry and return its real size in bytes; whatever sizes the archive declares are not used."""
    name, written = _shown(entry), 0
    with to.open("wb") as out:
        for chunk in _chunks(opened, entry):
            if not written and _is_archive(chunk):
                raise ArchiveRejected(reason=f"{name} is itself an archive.")
            written += len(chunk)
            if written > most:
                raise ArchiveRejected(reason=f"{name} is larger than {most} bytes.")
            if written > left:
                raise ArchiveRejected(reason="unpacked, its files are too large together.")
            if written > _FREE_BYTES and written > _MAX_RATIO * entry.compress_size:
                raise ArchiveRejected(reason=f"{name} unpacks to more than {_MAX_RATIO} times its size.")
            out.write(chunk)
    return written


def _chunks(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    with _readable():
        source = opened.open(entry)
    with source:
        while True:
            with _readable():
                chunk = source.read(_CHUNK)
            if not chunk:
                return
            yield chunk


def _is_archive(head: bytes) -> bool:
    return head.startswith(_ARCHIVE_MAGIC) or head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar"
