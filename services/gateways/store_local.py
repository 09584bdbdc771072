"""Assets in a local folder: public images by plain address, private files by signed addresses that expire."""

import asyncio
import hashlib
import hmac
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from models.status import ImageFormat
from services.gateways import local_variants
from services.gateways.asset_names import checked_name
from services.gateways.local_variants import LocalVariants, Variant
from services.ports import AssetKind, AssetMissing, StoreRefused, StoreUnavailable

FOLDERS = {AssetKind.PHOTO: "photos", AssetKind.IMAGE: "images", AssetKind.WEIGHTS: "weights"}
PUBLIC_FOLDER = FOLDERS[AssetKind.IMAGE]
INCOMING = ".incoming"
VARIANTS_BYTES = 256 << 20
LEFT_BEHIND_SECONDS = 24 * 3600
_REFUSED = (PermissionError, FileNotFoundError, IsADirectoryError, NotADirectoryError)


class LocalStore:
    """Files below `root`, served by ourselves under `{base_url}/media/`; a location is `<folder>/<name>`."""

    def __init__(
        self,
        root: Path,
        *,
        base_url: str,
        secret: bytes,
        url_seconds: int = 3600,
        variants_bytes: int = VARIANTS_BYTES,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`secret` signs the addresses of private files, which live for `url_seconds`; `now` is in Unix seconds.

        Smaller copies of images may take `variants_bytes`.
        """
        self._root = root
        self._base_url = base_url.rstrip("/")
        self._secret = secret
        self._url_seconds = url_seconds
        self._now = now
        folder = root / local_variants.FOLDER
        self._variants = LocalVariants(root / PUBLIC_FOLDER, folder, most_bytes=variants_bytes)

    async def put(self, source: Path, *, kind: AssetKind, name: str, content_type: str) -> str:
        """Keep a copy of `source`; see `AssetStore.put`. The file appears whole or not at all."""
        location = f"{FOLDERS[kind]}/{name}"
        target = self.path(location)
        try:
            await asyncio.to_thread(self._copy_in, source, target)
        except _REFUSED as error:
            raise StoreRefused(f"The local store cannot keep {name}: {error.strerror}.") from error
        except OSError as error:
            raise StoreUnavailable(f"The local store could not keep {name}: {error.strerror}.") from error
        await self._forget_variants(location)
        return location

    def url(self, location: str) -> str:
        """The address of a file: permanent for IMAGE, signed and expiring otherwise."""
        self.path(location)
        address = f"{self._base_url}/media/{location}"
        if _is_public(location):
            return address
        expires = str(int(self._now()) + self._url_seconds)
        return f"{address}?expires={expires}&signature={self._sign(location, expires)}"

    def variant(self, location: str, *, width: int | None, height: int | None, format: ImageFormat | None) -> str:
        """The address of a smaller copy, which `prepare` makes when it is asked for; see `AssetStore.variant`."""
        if not _is_public(location):
            raise StoreRefused("Only images have variants.")
        source = self.path(location).name
        variant = Variant.of(source, width=width, height=height, format=format)
        return f"{self._base_url}/media/{local_variants.FOLDER}/{variant.name}"

    async def prepare(self, path: str) -> None:
        """Make the smaller copy that `path` names, if it names one. Raises `StoreRefused` when that is impossible."""
        folder, _, name = path.partition("/")
        if folder == local_variants.FOLDER:
            await self._variants.prepare(name)

    async def tidy(self) -> int:
        """Remove the oldest smaller copies beyond their room; how many went."""
        return await self._variants.tidy()

    async def exists(self, location: str) -> bool:
        """Whether the file is there."""
        path = self.path(location)
        try:
            return await asyncio.to_thread(path.is_file)
        except OSError as error:
            raise StoreUnavailable(f"The local store could not look for {location}: {error.strerror}.") from error

    def verify(self, path: str, params: Mapping[str, str]) -> bool:
        """Whether the file may be served: `path` is what follows `/media/`, `params` the address's query."""
        folder, _, name = path.partition("/")
        try:
            if folder == local_variants.FOLDER:
                return bool(Variant.named(name))
            self.path(path)
        except StoreRefused:
            return False
        if _is_public(path):
            return True
        expires, given = params.get("expires", ""), params.get("signature", "")
        genuine = hmac.compare_digest(self._sign(path, expires).encode(), given.encode())
        return genuine and int(expires) > self._now()

    def path(self, location: str) -> Path:
        """The file of a location, which may not exist. Raises `StoreRefused` for what is not a location."""
        folder, _, name = location.partition("/")
        if folder not in FOLDERS.values():
            raise StoreRefused("This is not a location of the local store.")
        return self._root / folder / checked_name(name)

    async def fetch(self, location: str, to: Path) -> None:
        """Copy the file to `to`; see `AssetStore.fetch`."""
        path = self.path(location)
        try:
            await asyncio.to_thread(_copy_out, path, to)
        except OSError as error:
            raise StoreUnavailable(f"The local store could not read {location}: {error.strerror}.") from error

    async def delete(self, location: str) -> None:
        """Remove the file; deleting what is gone is not an error."""
        path = self.path(location)
        try:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"The local store could not delete {location}: {error.strerror}.") from error
        await self._forget_variants(location)

    async def forget(self, kind: AssetKind, name: str) -> None:
        """Remove what a `put` may have left; see `AssetStore.forget`."""
        await self.delete(f"{FOLDERS[kind]}/{name}")

    async def healthy(self) -> bool:
        """Whether a file can be written."""
        return await asyncio.to_thread(self._can_write)

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _forget_variants(self, location: str) -> None:
        if _is_public(location):
            await asyncio.to_thread(self._variants.forget, self.path(location).name)

    def _sign(self, location: str, expires: str) -> str:
        return hmac.new(self._secret, f"{location}\n{expires}".encode(), hashlib.sha256).hexdigest()

    def _copy_in(self, source: Path, target: Path) -> None:
        for folder in (target.parent, self._root / INCOMING):
            folder.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        handle, draft = tempfile.mkstemp(dir=self._root / INCOMING)
        try:
            with os.fdopen(handle, "wb") as copy, source.open("rb") as original:
                shutil.copyfileobj(original, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
            Path(draft).replace(target)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)

    def _remove_leftovers(self) -> None:
        """Remove what processes that were killed while they copied left behind; a living copy is never a day old."""
        for draft in (self._root / INCOMING).iterdir():
            with suppress(FileNotFoundError):
                if draft.stat().st_mtime < time.time() - LEFT_BEHIND_SECONDS:
                    draft.unlink()

    def _can_write(self) -> bool:
        with suppress(OSError):
            (self._root / INCOMING).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._root / INCOMING) as probe:
                return probe.write(b"1") == 1
        return False


def _is_public(location: str) -> bool:
    return location.startswith(f"{PUBLIC_FOLDER}/")


def _copy_out(path: Path, to: Path) -> None:
    if not path.is_file():
        raise AssetMissing(f"The local store has no {path.name}.")
    shutil.copyfile(path, to)


def _sync_folder(folder: Path) -> None:
    """A rename survives a power cut only once its folder has been written too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
