"""The parts of a multipart request in their order: `operations`, `map`, then the files that `map` names."""

import threading
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from python_multipart.multipart import parse_options_header

from likeness.http.errors import BadInput
from likeness.http.file_map import put_file, read_file_map
from likeness.http.limits import HttpLimits
from likeness.http.operation import parsed_json
from services.uploads import UploadedFile

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FILENAME: Final = 255
MAX_CONTENT_TYPE: Final = 127


class TextPart:
    """A part that is JSON text, kept in memory up to a limit in bytes."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self._limit = limit
        self._data = bytearray()

    def take(self, data: bytes) -> int:
        """Add a piece; nothing of it waits for the disk. Raises `BadInput` over the limit."""
        self._data += data
        if len(self._data) > self._limit:
            raise BadInput(f"`{self.name}` is larger than {self._limit} bytes.")
        return 0

    def value(self) -> Any:
        """The decoded JSON. Raises `BadInput`."""
        return parsed_json(bytes(self._data), what=f"`{self.name}`")


class FilePart:
    """A part that is a file: counted to its end, written to disk only while it is within the limit."""

    def __init__(self, name: str, *, path: Path, limit: int, filename: str | None, content_type: str | None) -> None:
        self.name = name
        self._path = path
        self._limit = limit
        self._filename = filename
        self._content_type = content_type
        self._bytes = 0
        self._waiting: list[bytes] = []
        self._sink: BinaryIO | None = None

    def take(self, data: bytes) -> int:
        """Add a piece; returns how many more bytes now wait for the disk."""
        self._bytes += len(data)
        if self._bytes > self._limit:
            dropped = sum(map(len, self._waiting))
            self._waiting.clear()
            return -dropped
        self._waiting.append(data)
        return len(data)

    def write_out(self, *, ended: bool) -> None:
        """Write what waits (blocking); a file over the limit is emptied."""
        if self._sink is None:
            self._sink = self._path.open("xb")
        self._sink.writelines(self._waiting)
        self._waiting.clear()
        if self._bytes > self._limit:
            self._sink.truncate(0)
            self._sink.seek(0)
        if ended:
            self.close()

    def close(self) -> None:
        """Close the file on disk. Raises `OSError` when its last bytes find no room; it is closed even so."""
        if self._sink is not None:
            self._sink.close()

    def value(self) -> UploadedFile:
        """What the resolver gets."""
        return UploadedFile(
            path=self._path,
            filename=self._filename,
            content_type=self._content_type,
            bytes=self._bytes,
            too_large=self._bytes > self._limit,
        )


class FormReader:
    """Takes the events of a multipart parser and builds the operation.

    `waiting` is the number of bytes that `write_out` would put on disk.
    """

    def __init__(self, *, folder: Path, limits: HttpLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._operations: Any = None
        self._places: dict[str, str] = {}
        self._seen: list[str] = []
        self._part: TextPart | FilePart | None = None
        self._unwritten: list[FilePart] = []
        self._headers: dict[bytes, bytes] = {}
        self._header = (b"", b"")
        self._ended = False
        self._disk = threading.Lock()
        self._closed = False
        self.waiting = 0

    def callbacks(self) -> "MultipartCallbacks":
        """The functions that `python_multipart.MultipartParser` calls."""
        return {
            "on_part_begin": self._headers.clear,
            "on_header_begin": self._begin_header,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_part,
            "on_part_data": self._part_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def write_out(self) -> None:
        """Put on disk what waits; blocking, for a worker thread."""
        with self._disk:
            if self._closed:
                return
            for part in self._unwritten:
                part.write_out(ended=part is not self._part)
            self._unwritten = [part for part in self._unwritten if part is self._part]
        self.waiting = 0

    def close(self) -> None:
        """Close every file, whole or not, after a write that may still be going on in another thread."""
        with self._disk:
            self._closed = True
            for part in self._unwritten:
                with suppress(OSError):
                    part.close()

    def result(self) -> dict[str, Any]:
        """The operation with its files in place. Raises `BadInput` when something is missing."""
        if not self._ended:
            raise BadInput("The multipart body ends too early.")
        if not self._places:
            raise BadInput("A multipart request needs `operations`, then `map`, then the files.")
        if missing := set(self._places) - set(self._seen):
            raise BadInput(f"{len(missing)} of the files that `map` names did not arrive.")
        operations: dict[str, Any] = self._operations
        return operations

    def _begin_header(self) -> None:
        self._header = (b"", b"")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], self._header[1])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[name.lower()] = value

    def _begin_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self._seen.append(name)
        self._part = self._expected_part(name, options.get(b"filename"))

    def _expected_part(self, name: str, filename: bytes | None) -> "TextPart | FilePart":
        if len(self._seen) == 1 and name == "operations":
            return TextPart(name, self._limits.max_operations_bytes)
        if len(self._seen) == 2 and name == "map":
            return TextPart(name, self._limits.max_map_bytes)
        if name not in self._places or name in self._seen[2:-1]:
            raise BadInput("A multipart request needs `operations`, then `map`, then each file that `map` names, once.")
        part = FilePart(
            name,
            path=self._folder / str(len(self._seen) - 2),
            limit=self._limits.file_limit(self._places[name]),
            filename=clean_filename(filename.decode("utf-8", "replace") if filename is not None else ""),
            content_type=_clean_type(self._headers.get(b"content-type")),
        )
        self._unwritten.append(part)
        return part

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part is not None:
            self.waiting += self._part.take(data[start:end])

    def _end_part(self) -> None:
        part, self._part = self._part, None
        if isinstance(part, FilePart):
            put_file(self._operations, self._places[part.name], part.value())
        elif isinstance(part, TextPart) and part.name == "map":
            limit = self._limits.max_files
            self._places = read_file_map(part.value(), operations=self._operations, max_files=limit)
        elif isinstance(part, TextPart):
            self._operations = part.value()

    def _end(self) -> None:
        self._ended = True


def clean_filename(given: str) -> str | None:
    """The last part of a client's file name without control characters, at most 255 characters; None when empty."""
    base = given.replace("\\", "/").rsplit("/", 1)[-1]
    visible = "".join(letter for letter in base if not unicodedata.category(letter).startswith("C")).strip()
    return visible[:MAX_FILENAME] if visible not in ("", ".", "..") else None


def _clean_type(given: bytes | None) -> str | None:
    text = (given or b"").decode("ascii", "replace").strip().lower()
    return text if 0 < len(text) <= MAX_CONTENT_TYPE and text.isprintable() else None
