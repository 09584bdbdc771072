"""Assets at Cloudinary through its official SDK: synchronous, so in four threads, with a timeout on every call.

The SDK sends a request once; a repeat of ours is harmless because every file has a name of its own (`public_id`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import cloudinary.api
import cloudinary.uploader
import cloudinary.utils
import httpx
import stamina

from models.status import ImageFormat
from services.gateways.asset_names import checked_name
from services.gateways.cloudinary_asset import LOCATION_CHARACTERS, Asset
from services.gateways.cloudinary_errors import read_error, store_error
from services.ports import AssetKind, AssetMissing, StoreRefused, StoreUnavailable

T = TypeVar("T")

THREADS = 4
HEALTH_SECONDS = 5.0
# Cloudinary takes 100 MB in one request; the SDK holds a request in memory twice, so large files go in parts.
WHOLE_BYTES = 40 << 20
PART_BYTES = 20_000_000
DELIVERY = "/image/upload/"
FORMATS = {ImageFormat.PNG: "png", ImageFormat.JPEG: "jpg", ImageFormat.WEBP: "webp"}


class CloudinaryStore:
    """Images public under `folder`, photos and weights private (`authenticated`) under `private_folder`."""

    def __init__(
        self,
        cloud_name: str,
        api_key: str,
        api_secret: str,
        *,
        folder: str = "stefna/generated",
        upload_prefix: str | None = None,
        private_folder: str = "likeness",
        timeout: float = 60.0,
        url_seconds: int = 3600,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`upload_prefix` replaces https://api.cloudinary.com; `timeout` and `url_seconds` are in seconds."""
        # Given with every call, because the SDK's own settings belong to the whole process.
        account = {"cloud_name": cloud_name, "api_key": api_key, "api_secret": api_secret}
        self._account: Mapping[str, str] = account | ({"upload_prefix": upload_prefix} if upload_prefix else {})
        self._folder = folder.strip("/")
        self._private_folder = private_folder.strip("/")
        self._timeout = timeout
        self._url_seconds = url_seconds
        self._now = now
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="cloudinary")

    async def put(self, source: Path, *, kind: AssetKind, name: str, content_type: str) -> str:
        """Keep a copy of `source`; see `AssetStore.put`.

        Putting again replaces the file; Cloudinary then writes a newer version number into the address, and the older
        address goes on to show the file.
        """
        place = self._place(kind, name)
        options = {"overwrite": True, "invalidate": True, "timeout": self._timeout}
        if place["resource_type"] == "raw" and await asyncio.to_thread(_size, source) > WHOLE_BYTES:
            send = partial(cloudinary.uploader.upload_large, chunk_size=PART_BYTES)  # the timeout is then per part
        else:
            send = partial(cloudinary.uploader.upload)
        answer = await self._call(send, str(source), **place, **options)
        try:
            asset = Asset(
                resource_type=place["resource_type"],
                type=place["type"],
                public_id=answer["public_id"],
                format=answer.get("format") or "",
                secure_url=answer["secure_url"],
            )
        except (LookupError, TypeError) as error:
            raise StoreUnavailable("Cloudinary's answer could not be read.") from error
        if len(asset.location) > LOCATION_CHARACTERS:
            raise StoreRefused("The file's name or folder is too long.")
        return asset.location

    def url(self, location: str) -> str:
        """The address of a file: permanent for IMAGE, signed and expiring otherwise."""
        asset = Asset.at(location)
        return asset.secure_url if asset.type == "upload" else self._private_url(asset)

    def variant(self, location: str, *, width: int | None, height: int | None, format: ImageFormat | None) -> str:
        """The address of a transformation that Cloudinary makes when it is asked for; see `AssetStore.variant`.

        `c_limit` never enlarges (cloudinary.com/documentation/transformation_reference#c_limit).
        """
        asset = Asset.at(location)
        if asset.resource_type != "image" or asset.type != "upload":
            raise StoreRefused("Only images have variants.")
        box = [f"{name}_{side}" for name, side in (("w", width), ("h", height)) if side]
        steps = [",".join(["c_limit", *box])] if box else []
        steps += [f"f_{FORMATS[format]}"] if format else []
        return asset.secure_url.replace(DELIVERY, "/".join([DELIVERY.rstrip("/"), *steps, ""]), 1)

    async def exists(self, location: str) -> bool:
        """Whether the delivery has the file: what its address shows, without reading it."""
        asset = Asset.at(location)
        address = asset.secure_url if asset.type == "upload" else self._private_url(asset)
        try:
            async with self._http.stream("GET", address, headers={"Range": "bytes=0-0"}) as answer:
                if answer.is_success:
                    return True
                raise read_error(answer.status_code)
        except AssetMissing:
            return False
        except httpx.HTTPError as error:
            raise StoreUnavailable("Cloudinary did not answer.") from error

    async def tidy(self) -> int:
        """Nothing: Cloudinary looks after its transformations itself."""
        return 0

    async def fetch(self, location: str, to: Path) -> None:
        """Copy the file to `to`; see `AssetStore.fetch`."""
        asset = Asset.at(location)
        addresses = [asset.secure_url] if asset.type == "upload" else [asset.secure_url, self._private_url(asset)]
        for address in addresses:
            try:
                await _patiently(partial(self._read, address, to))
                return
            except (AssetMissing, StoreRefused):
                # Whether the address in the answer to a private upload is signed is not documented; the API's is.
                if address == addresses[-1]:
                    raise

    async def delete(self, location: str) -> None:
        """Remove the file and its cached copies; deleting what is gone is not an error."""
        asset = Asset.at(location)
        await self._destroy(asset.public_id, resource_type=asset.resource_type, type=asset.type)

    async def forget(self, kind: AssetKind, name: str) -> None:
        """Remove what a `put` may have left; see `AssetStore.forget`."""
        place = self._place(kind, name)
        public_id = "/".join(filter(None, [place.pop("folder", None), place.pop("public_id")]))
        await self._destroy(public_id, **place)

    async def healthy(self) -> bool:
        """Whether the API answers and takes our credentials."""
        try:
            await self._call(cloudinary.api.ping, timeout=HEALTH_SECONDS)
        except (StoreUnavailable, StoreRefused):
            return False
        return True

    async def close(self) -> None:
        """Close the connections and end the threads; calls under way are waited for."""
        if "_http" in vars(self):
            await self._http.aclose()
        await asyncio.to_thread(self._threads.shutdown)

    @cached_property
    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=self._timeout, follow_redirects=True)

    def _place(self, kind: AssetKind, name: str) -> dict[str, Any]:
        stem, _, _ = checked_name(name).rpartition(".")
        if kind is AssetKind.IMAGE:
            return {"resource_type": "image", "type": "upload", "folder": self._folder, "public_id": stem}
        folder = f"{self._private_folder}/{kind.value}"
        if kind is AssetKind.PHOTO:
            return {"resource_type": "image", "type": "authenticated", "folder": folder, "public_id": stem}
        # The extension of a raw file is a part of its id. The folder is too: the parts of a large file repeat the id
        # that the first part was answered with, and a folder beside it would be put before it again.
        return {"resource_type": "raw", "type": "authenticated", "public_id": f"{folder}/{name}"}

    def _private_url(self, asset: Asset) -> str:
        """A signed delivery URL never expires; the download URL of the API does."""
        url: str = cloudinary.utils.private_download_url(  # type: ignore[no-untyped-call]
            asset.public_id,
            asset.format,
            resource_type=asset.resource_type,
            type=asset.type,
            expires_at=int(self._now()) + self._url_seconds,
            **self._account,
        )
        return url

    async def _destroy(self, public_id: str, **place: str) -> None:
        await self._call(cloudinary.uploader.destroy, public_id, **place, invalidate=True, timeout=self._timeout)

    async def _call(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        work = partial(function, *args, **options, **self._account)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except Exception as error:
            # The SDK raises bare `Exception` for some answers, and its texts may hold the string it signed.
            raise store_error(error) from None

    async def _read(self, address: str, to: Path) -> None:
        try:
            async with self._http.stream("GET", address) as answer:
                if answer.status_code != 200:
                    raise read_error(answer.status_code)
                with await asyncio.to_thread(to.open, "wb") as file:
                    async for chunk in answer.aiter_bytes(256 << 10):
                        await asyncio.to_thread(file.write, chunk)
        except httpx.HTTPError as error:
            await asyncio.to_thread(to.unlink, missing_ok=True)
            raise StoreUnavailable("Cloudinary did not deliver the file.") from error


async def _patiently(call: Callable[[], Awaitable[None]]) -> None:
    """Repeat a delivery that may work later."""
    await stamina.AsyncRetryingCaller(attempts=3, timeout=None, wait_initial=0.3, wait_max=3.0)(StoreUnavailable, call)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError as error:
        raise StoreRefused("The file to keep is gone.") from error
