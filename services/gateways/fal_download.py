"""Fetching an output: https, fal's own hosts, every redirect checked again, streamed with a cap and a hash.

`services.gateways.public_addresses` checks where the hosts' names lead.
"""

import asyncio
import hashlib
import ssl
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin

import httpx
from fal_client.auth import FAL_QUEUE_RUN_HOST, FAL_RUN_HOST

from models.errors import ProviderError, ProviderJobGone, ProviderRejected, ProviderUnavailable
from services.gateways.fal_errors import lost
from services.gateways.public_addresses import PrivateAddress
from services.ports import Download

# A name that begins with a dot stands for every host below it.
ALLOWED_HOSTS = ("fal.media", ".fal.media", ".fal.ai", "fal.run", ".fal.run", "storage.googleapis.com")
# FAL_RUN_HOST and FAL_QUEUE_RUN_HOST say where fal is, so what lies there is fal's too.
TRUSTED_HOSTS = (FAL_QUEUE_RUN_HOST, FAL_RUN_HOST)
CONFIGURED_HOSTS = frozenset(TRUSTED_HOSTS)
MAX_REDIRECTS = 3
CHUNK_BYTES = 256 << 10


async def fetch(client: httpx.AsyncClient, url: str, to: Path, *, limit: int, seconds: float) -> Download:
    """Stream `url` into `to`, at most `limit` bytes within `seconds`; on failure nothing is left behind.

    Raises `ProviderUnavailable` when it may work later, `ProviderJobGone` when the file is gone, `ProviderRejected` for
    an address or size that is not allowed.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _follow(client, allowed(url), to, limit=limit)
    except PrivateAddress as error:
        reason = f"an output lies on {error}, which leads into a private network."
        raise ProviderRejected(reason=reason, type="bad_address") from error
    except (httpx.HTTPError, TimeoutError, ConnectionError, ssl.SSLError) as error:
        await asyncio.to_thread(to.unlink, missing_ok=True)
        raise ProviderUnavailable(reason=lost(error)) from error
    except BaseException:
        await asyncio.to_thread(to.unlink, missing_ok=True)
        raise


def allowed(url: str) -> httpx.URL:
    """The address, if it is https and fal's. Raises `ProviderRejected`."""
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ProviderRejected(reason="an output has an address that cannot be read.", type="bad_address") from error
    ours = address.netloc.decode("ascii") in CONFIGURED_HOSTS
    if address.scheme != "https" or address.userinfo or not (ours or _is_fal(address)):
        raise ProviderRejected(reason=f"an output lies on {address.host or 'no host'}.", type="bad_address")
    return address


def _is_fal(address: httpx.URL) -> bool:
    host = address.host
    return address.port in {None, 443} and any(
        host.endswith(name) if name.startswith(".") else host == name for name in ALLOWED_HOSTS
    )


async def _follow(client: httpx.AsyncClient, address: httpx.URL, to: Path, *, limit: int) -> Download:
    for _ in range(MAX_REDIRECTS + 1):
        async with client.stream("GET", address, headers={"Accept-Encoding": "identity"}) as answer:
            if not answer.has_redirect_location:
                return await _keep(answer, to, limit=limit)
            address = allowed(urljoin(str(address), answer.headers["location"]))
    raise ProviderRejected(reason="an output is redirected too often.", type="bad_address")


async def _keep(answer: httpx.Response, to: Path, *, limit: int) -> Download:
    if answer.status_code != 200:
        raise _refused(answer.status_code)
    declared = int(answer.headers.get("content-length", -1))
    if declared > limit:
        raise _too_large(limit)
    digest, size = hashlib.sha256(), 0
    file = await asyncio.to_thread(to.open, "wb")
    try:
        async for chunk in answer.aiter_bytes(CHUNK_BYTES):
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            await asyncio.to_thread(_write, file, chunk, digest)
    finally:
        await asyncio.to_thread(file.close)
    if declared not in {-1, answer.num_bytes_downloaded}:
        raise ProviderUnavailable(reason=f"an output ended after {size} of {declared} bytes.")
    kind = answer.headers.get("content-type", "application/octet-stream").partition(";")[0].strip()
    return Download(path=to, bytes=size, sha256=digest.hexdigest(), content_type=kind)


def _write(file: BinaryIO, chunk: bytes, digest: "hashlib._Hash") -> None:
    digest.update(chunk)
    file.write(chunk)


def _refused(status: int) -> ProviderError:
    if status in {404, 410}:
        return ProviderJobGone(reason="its file has been deleted.")
    if status in {408, 425, 429} or status >= 500:
        return ProviderUnavailable(reason=f"an output answered with {status}.")
    return ProviderRejected(reason=f"an output answered with {status}.", type="file_refused")


def _too_large(limit: int) -> ProviderRejected:
    return ProviderRejected(reason=f"an output is larger than {limit} bytes.", type="file_too_large")
