"""Large files to fal's storage in parts that are streamed from disk.

fal_client's own `save_file` reads each part into memory, where httpx's reference cycles keep it until the collector
runs: an upload of 300 MiB was seen to hold 280 (fal_client 1.0.3, httpx 0.28).
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import fal_client
import httpx
from fal_client.client import AsyncMultipartUpload

PART_BYTES = 10 << 20
READ_BYTES = 256 << 10


async def send_in_parts(
    fal: fal_client.AsyncClient, path: Path, *, size: int, content_type: str, life_seconds: int
) -> str:
    """Send `path` of `size` bytes, one part after the other, and return its address. Raises what httpx raises."""
    async with fal._cdn_client() as client:
        upload = AsyncMultipartUpload(
            file_name=path.name,
            client=client,
            token_manager=await fal._token_manager,
            chunk_size=PART_BYTES,
            content_type=content_type,
        )
        await upload.create(object_lifecycle_preference={"expiration_duration_seconds": life_seconds})
        for number, start in enumerate(range(0, size, PART_BYTES), start=1):
            await _send(upload, client, path, number=number, start=start, length=min(PART_BYTES, size - start))
        return str(await upload.complete())


async def _send(
    upload: AsyncMultipartUpload, client: httpx.AsyncClient, path: Path, *, number: int, start: int, length: int
) -> None:
    answer = await client.put(
        f"{upload.access_url}/multipart/{upload.upload_id}/{number}",
        content=_pieces(path, start=start, length=length),
        headers={
            **await upload.get_auth_headers(),
            "Content-Type": upload.content_type,
            "Content-Length": str(length),
            "Accept-Encoding": "identity",  # a compressing proxy would drop the ETag
        },
    )
    answer.raise_for_status()
    upload._parts.append({"partNumber": number, "etag": answer.headers["etag"]})


async def _pieces(path: Path, *, start: int, length: int) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        file.seek(start)
        while length > 0 and (piece := await asyncio.to_thread(file.read, min(READ_BYTES, length))):
            length -= len(piece)
            yield piece
