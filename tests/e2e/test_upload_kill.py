"""kill -9 in the middle of an upload: the same upload works afterwards, nothing is doubled, and the rest is swept."""

import asyncio
import hashlib
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.api.test_http_uploads import part
from tests.e2e.crashing.caller import Caller, draw_photos, until
from tests.e2e.crashing.points import arm
from tests.e2e.crashing.process import Process, running, serving
from tests.e2e.dying_upload import STORED
from tests.e2e.main_job import UPLOAD

PHOTOS = "{ photos(first: 100) { nodes { id url sha256 } } }"
HOURS = 7  # after which nobody works on a temporary file any more


async def test_an_upload_whose_process_is_killed(tmp_path: Path) -> None:
    """Once with a file half received, once with a photo stored whose row is not written yet."""
    server, photos = serving(tmp_path, "tests.e2e.dying_upload", "serve"), draw_photos(tmp_path, 1)
    caller = Caller(url=server.url)
    temporary, assets = tmp_path / "data" / "tmp", tmp_path / "data" / "assets"
    async with running(server):
        [known] = await caller.upload(photos[:1])
        await kill_while_receiving(server, temporary)
        assert [True] == [0 < file.stat().st_size < 600_000 for file in files(temporary)]
        grow_old(temporary)
        await server.start()
        await until(lambda: is_empty(temporary), seconds=20)
        arm(tmp_path / "data", STORED)
        upload = asyncio.create_task(caller.upload(photos))
        assert -signal.SIGKILL == await server.ended()
        upload.cancel()
        with suppress(asyncio.CancelledError):
            await upload
        assert (2, len(photos) + 1) == (len(files(assets)), len(files(temporary)))
        grow_old(temporary)
        await server.start()
        ids = await caller.upload(photos)
        await until(lambda: is_empty(temporary), seconds=20)
        kept = (await caller.ask(PHOTOS))["nodes"]
        contents = [await caller.bytes_at(photo["url"]) for photo in kept]
    assert (4, known) == (len(set(ids)), ids[0])
    assert set(ids) == {photo["id"] for photo in kept}
    assert [photo["sha256"] for photo in kept] == [hashlib.sha256(content).hexdigest() for content in contents]
    assert sorted(contents) == sorted(file.read_bytes() for file in files(assets))


async def kill_while_receiving(server: Process, temporary: Path) -> None:
    """Send half of a file, and kill the server when a part of that is on its disk."""
    operations = json.dumps({"query": UPLOAD, "variables": {"input": {"photos": [None]}}})
    begin = part("operations", operations) + part("map", '{"0": ["variables.input.photos.0"]}')
    begin += part("0", b"x" * 600_000, filename="me.jpg")
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: {urlsplit(server.url).netloc}\r\nContent-Length: 1200000\r\n"
        "Content-Type: multipart/form-data; boundary=B\r\nGraphQL-Require-Preflight: 1\r\n\r\n"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head.encode() + begin)

    async def is_written() -> bool:
        return any(file.stat().st_size for file in files(temporary))

    await until(is_written, seconds=20)
    await server.kill()
    writer.close()


def files(folder: Path) -> list[Path]:
    """The files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


async def is_empty(folder: Path) -> bool:
    """Whether nothing is there."""
    return not any(folder.iterdir())


def grow_old(folder: Path) -> None:
    """Nothing in a folder was changed for hours."""
    moment = time.time() - HOURS * 3600
    for path in folder.rglob("*"):
        os.utime(path, (moment, moment))
