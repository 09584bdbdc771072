"""Reads request bodies with a bound: small ones into memory, files to disk."""

import asyncio
import json
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

JSON_BYTES = 32 << 20
PIECE_BYTES = 1 << 20


async def read_json_body(request: Request, *, limit: int = JSON_BYTES) -> Any:
    """The JSON body. Raises HTTPException 413 above `limit` bytes, 400 when it is not JSON."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise HTTPException(413, "Request body too large")
    try:
        return await asyncio.to_thread(json.loads, bytes(data), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "Invalid JSON body") from error


async def read_to(request: Request, path: Path, *, limit: int) -> None:
    """Stream the body into `path`, at most `limit` bytes (else HTTPException 413 and no file)."""
    try:
        await _stream(request, path, limit=limit)
    except BaseException:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - at once, also when cancelled
        raise


async def _stream(request: Request, path: Path, *, limit: int) -> None:
    size = 0
    with path.open("wb") as file:
        piece = bytearray()
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise HTTPException(413, "File too large")
            piece += chunk
            if len(piece) >= PIECE_BYTES:
                await asyncio.to_thread(file.write, piece)
                piece = bytearray()
        await asyncio.to_thread(file.write, piece)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
