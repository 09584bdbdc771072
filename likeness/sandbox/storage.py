"""The file storage: unguessable ids, names only in the record and never on disk, lives that end by themselves.

A file is `files/<id>.bin` beside its record `files/<id>.json`; it exists once the record does. Everything here blocks:
call it from a worker thread.
"""

import hashlib
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from likeness.sandbox.json_files import read_json, write_json

FILE_LIMIT = 512 << 20
UPLOAD_SECONDS = 24 * 3600.0
_ID = re.compile(r"[0-9a-f]{32}")
_ADDRESS = re.compile(r"/files/sandbox/([0-9a-f]{32})/([^/]+)")


class TooLarge(Exception):
    """The file is larger than the storage takes."""


class NoSuchUpload(Exception):
    """The upload, or a part it names, does not exist."""


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A kept file; `expires_at` is in Unix seconds, None for ever."""

    id: str
    name: str
    content_type: str
    size: int
    path: Path
    expires_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A promised file: its final id and what it will be."""

    id: str
    file_id: str
    name: str
    content_type: str
    life_seconds: float | None
    begun_at: float


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Files under `root`; `base` starts their addresses."""

    root: Path
    base: str
    now: Callable[[], float]

    def keep(
        self, source: Path, *, name: str, content_type: str, life_seconds: float | None = None, id: str | None = None
    ) -> StoredFile:
        """Move `source` into the storage. Raises `TooLarge`."""
        size = source.stat().st_size
        if size > FILE_LIMIT:
            raise TooLarge
        file_id = id or secrets.token_hex(16)
        expires_at = None if life_seconds is None else self.now() + life_seconds
        path = self._content(file_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        source.replace(path)
        record: dict[str, Any] = {
            "name": safe_name(name),
            "content_type": content_type,
            "size": size,
            "expires_at": expires_at,
        }
        write_json(self._record(file_id), record)
        return StoredFile(id=file_id, path=path, **record)

    def keep_bytes(self, data: bytes, *, name: str, content_type: str, life_seconds: float | None = None) -> StoredFile:
        """Keep `data` as a file."""
        draft = self.draft()
        draft.write_bytes(data)
        return self.keep(draft, name=name, content_type=content_type, life_seconds=life_seconds)

    def draft(self) -> Path:
        """A fresh path for a file that is still being written."""
        folder = self.root / "drafts"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / secrets.token_hex(16)

    def url(self, file: StoredFile | Upload) -> str:
        """The address of a file."""
        id = file.file_id if isinstance(file, Upload) else file.id
        return f"{self.base}/files/sandbox/{id}/{safe_name(file.name)}"

    def find(self, id: str, name: str, *, at: float | None = None) -> StoredFile | None:
        """The file with this id and name that lives at `at` (default now), or None; a dead one is removed."""
        record = read_json(self._record(id)) if _ID.fullmatch(id) else None
        if record is None or record["name"] != name:
            return None
        file = StoredFile(id=id, path=self._content(id), **record)
        if file.expires_at is None or file.expires_at > (self.now() if at is None else at):
            return file if file.path.exists() else None
        self._remove(id)
        return None

    def find_url(self, url: str, *, at: float | None = None) -> StoredFile | None:
        """The file behind one of our own addresses, or None for any other. The id in it is the proof, not the host."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        match = _ADDRESS.fullmatch(parts.path) if parts.scheme in {"http", "https"} else None
        return self.find(match[1], match[2], at=at) if match else None

    def begin(self, *, name: str, content_type: str, life_seconds: float | None) -> Upload:
        """Promise a file whose content comes later."""
        upload = Upload(
            id=secrets.token_hex(16),
            file_id=secrets.token_hex(16),
            name=safe_name(name),
            content_type=content_type,
            life_seconds=life_seconds,
            begun_at=self.now(),
        )
        write_json(self._upload(upload.id) / "upload.json", asdict(upload))
        return upload

    def upload(self, id: str) -> Upload:
        """A promised file. Raises `NoSuchUpload`."""
        record = read_json(self._upload(id) / "upload.json") if _ID.fullmatch(id) else None
        if record is None:
            raise NoSuchUpload
        return Upload(**record)

    def keep_part(self, upload: Upload, source: Path, *, number: int) -> str:
        """Keep one part and return its ETag; putting it again replaces it. Raises `TooLarge`."""
        folder = self._upload(upload.id)
        others = sum(p.stat().st_size for p in folder.glob("*.part") if p.stem != str(number))
        if others + source.stat().st_size > FILE_LIMIT:
            source.unlink()
            raise TooLarge
        etag = _etag(source)
        source.replace(folder / f"{number}.part")
        return etag

    def complete(self, upload: Upload, parts: Sequence[tuple[int, str]]) -> StoredFile:
        """Join the parts in their order. Raises `NoSuchUpload` when one is missing or not what the caller sent."""
        folder, draft = self._upload(upload.id), self.draft()
        with draft.open("wb") as whole:
            for number, etag in sorted(parts):
                part = folder / f"{number}.part"
                if not part.exists() or _etag(part) != etag:
                    draft.unlink()
                    raise NoSuchUpload
                with part.open("rb") as piece:
                    shutil.copyfileobj(piece, whole, 1 << 20)
        return self.finish(upload, draft)

    def finish(self, upload: Upload, source: Path) -> StoredFile:
        """Make a promised file out of `source`."""
        return self.keep(
            source,
            name=upload.name,
            content_type=upload.content_type,
            life_seconds=upload.life_seconds,
            id=upload.file_id,
        )

    def sweep(self) -> None:
        """Remove what has expired, and uploads and drafts older than a day."""
        for record in self.root.glob("files/*.json"):
            expires_at = (read_json(record) or {}).get("expires_at")
            if expires_at is not None and expires_at <= self.now():
                self._remove(record.stem)
        for folder in self.root.glob("uploads/*"):
            begun = (read_json(folder / "upload.json") or {}).get("begun_at", 0.0)
            if begun + UPLOAD_SECONDS <= self.now():
                shutil.rmtree(folder, ignore_errors=True)
        for draft in self.root.glob("drafts/*"):
            if draft.stat().st_mtime + UPLOAD_SECONDS <= self.now():
                draft.unlink(missing_ok=True)

    def _remove(self, id: str) -> None:
        self._record(id).unlink(missing_ok=True)
        self._content(id).unlink(missing_ok=True)

    def _record(self, id: str) -> Path:
        return self.root / "files" / f"{id}.json"

    def _content(self, id: str) -> Path:
        return self.root / "files" / f"{id}.bin"

    def _upload(self, id: str) -> Path:
        return self.root / "uploads" / id


def file_object(storage: Storage, file: StoredFile) -> dict[str, Any]:
    """fal's File object of an output."""
    return {
        "url": storage.url(file),
        "content_type": file.content_type,
        "file_name": file.name,
        "file_size": file.size,
    }


def safe_name(name: str) -> str:
    """A name that is safe in an address and a header: letters, digits, dot, dash and underscore, at most 100."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name.replace("\\", "/").rsplit("/", 1)[-1])
    return plain.strip("._")[-100:] or "upload.bin"


def _etag(path: Path) -> str:
    with path.open("rb") as file:
        return '"' + hashlib.file_digest(file, "sha256").hexdigest()[:32] + '"'
