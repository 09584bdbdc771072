"""Multipart uploads, streamed to a folder of their own that disappears with the request."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from likeness.http.body import Body
from likeness.http.errors import BadInput
from likeness.http.form import FormReader
from likeness.http.limits import HttpLimits

WRITE_BYTES: Final = 256 * 1024


@asynccontextmanager
async def received_upload(body: Body, *, boundary: str, limits: HttpLimits) -> AsyncIterator[dict[str, Any]]:
    """Receive a multipart request; inside the block its `operations` hold `UploadedFile`s where `map` says.

    Never holds more than about `WRITE_BYTES` of file content in memory. The files are gone after the block, however it
    ends. Raises `BadInput`, `PayloadTooLarge`, and what `Body.chunks` raises; what is still coming then is thrown away
    up to a bound, so that the client can read the refusal.
    """
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="upload-", dir=limits.temp_dir))
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
                await asyncio.to_thread(form.write_out)
        await asyncio.to_thread(form.write_out)
        return form.result()
    except FormParserError:
        await body.drain()
        raise BadInput("The multipart body is malformed.") from None
    except BadInput:
        await body.drain()
        raise


def _remove(form: FormReader, folder: Path) -> None:
    form.close()
    shutil.rmtree(folder, ignore_errors=True)
