"""Multipart uploads, streamed to a folder of their own that disappears with the request."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from likeness.http.body import Body
from likeness.http.errors import BadInput, NotStored
from likeness.http.form import FormReader
from likeness.http.limits import HttpLimits

T = TypeVar("T")
WRITE_BYTES: Final = 256 * 1024

_log = structlog.get_logger()


@asynccontextmanager
async def received_upload(body: Body, *, boundary: str, limits: HttpLimits) -> AsyncIterator[dict[str, Any]]:
    """Receive a multipart request; inside the block its `operations` hold `UploadedFile`s where `map` says.

    Never holds more than about `WRITE_BYTES` of file content in memory. The files are gone after the block, however it
    ends. Raises `BadInput`, `PayloadTooLarge`, `NotStored`, and what `Body.chunks` raises; what is still coming then is
    thrown away up to a bound, so that the client can read the refusal.
    """
    folder = await _on_disk(body, partial(_new_folder, limits.temp_dir))
    form = FormReader(folder=folder, limits=limits)
    try:
        yield await _receive(body, form, boundary)
    finally:
        # A write that was cancelled goes on in its thread: removing the folder under it would leave files behind.
        await asyncio.shield(asyncio.ensure_future(asyncio.to_thread(_remove, form, folder)))


async def _receive(body: Body, form: FormReader, boundary: str) -> dict[str, Any]:
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in body.chunks():
            parser.write(chunk)
            if form.waiting >= WRITE_BYTES:
                await _on_disk(body, form.write_out)
        await _on_disk(body, form.write_out)
        return form.result()
    except FormParserError:
        await body.drain()
        raise BadInput("The multipart body is malformed.") from None
    except BadInput:
        await body.drain()
        raise


async def _on_disk(body: Body, work: Callable[[], T]) -> T:
    """Work that blocks on the disk. Raises `NotStored` when the disk is full."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        _log.error("upload.not_stored", reason=str(error))
        await body.drain()
        raise NotStored("The upload could not be stored on our side; please try again later.") from error


def _new_folder(parent: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix="upload-", dir=parent))


def _remove(form: FormReader, folder: Path) -> None:
    form.close()
    shutil.rmtree(folder, ignore_errors=True)
