"""Large uploads go to disk: memory stays flat, and a real server's refusal can be read by the client."""

import asyncio
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import websockets

from likeness.http.limits import MIB, UVICORN_WS
from tests.api.http_stage import PREFLIGHT, Stage, stage
from tests.api.test_http_uploads import END, TYPE, file_map, operations, part

CHUNK = bytes(65536)


async def test_a_30_mib_file_does_not_grow_memory(tmp_path: Path) -> None:
    """The peak over a 30 MiB upload stays under 3 MiB of Python memory, and the file arrives whole."""
    subject = stage(tmp_path, max_file_bytes=40 * MIB, max_upload_bytes=50 * MIB)
    head = part("operations", operations()) + part("map", file_map()) + part("0", b"", filename="a")[:-2]
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": head, "more_body": True}]
    messages += [{"type": "http.request", "body": CHUNK, "more_body": True}] * (30 * MIB // len(CHUNK))
    messages += [{"type": "http.request", "body": b"\r\n" + END, "more_body": False}]
    feed = iter(messages)
    answer: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return next(feed)

    async def send(message: Any) -> None:
        answer.append(message.get("body", b""))

    headers = [(name.encode(), value.encode()) for name, value in {**TYPE, **PREFLIGHT}.items()]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": headers}
    tracemalloc.start()
    try:
        await subject.app(scope, receive, send)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (file,) = json.loads(b"".join(answer))["data"]["upload"]
    assert (file["size"], file["onDisk"]) == (30 * MIB, 30 * MIB)
    assert peak < 3 * MIB
    assert list(tmp_path.iterdir()) == []


@asynccontextmanager
async def served(subject: Stage) -> AsyncIterator[int]:
    """Serve on a free loopback port with the options meant for production."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(subject.app, log_level="error", lifespan="off", **UVICORN_WS)
        server = uvicorn.Server(config)
        running = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await running


@pytest.mark.parametrize("declared", [True, False])
async def test_an_early_413_can_be_read(tmp_path: Path, declared: bool) -> None:
    """A client that sends everything before it reads still gets the refusal, not a reset."""
    size = 24 * MIB
    async with served(stage(tmp_path, max_upload_bytes=4 * MIB)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        length = f"Content-Length: {size}" if declared else "Transfer-Encoding: chunked"
        head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\n{length}\r\nX-Requested-With: test\r\n"
        writer.write(f"{head}Content-Type: {TYPE['content-type']}\r\n\r\n".encode())
        start = part("operations", operations()) + part("map", file_map()) + part("0", CHUNK)[:-2]
        writer.write(start if declared else f"{len(start):x}\r\n".encode() + start + b"\r\n")
        for _ in range(size // len(CHUNK) - 2):
            writer.write(CHUNK if declared else b"10000\r\n" + CHUNK + b"\r\n")
            await writer.drain()
        if not declared:
            writer.write(b"0\r\n\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"}]}"), 10)
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"PAYLOAD_TOO_LARGE" in answer


async def test_websocket_messages_are_bounded(tmp_path: Path) -> None:
    """A message over 256 KiB closes the socket with 1009, and compression is not offered."""
    async with served(stage(tmp_path)) as port:
        protocol = websockets.Subprotocol("graphql-transport-ws")
        async with websockets.connect(f"ws://127.0.0.1:{port}/graphql", subprotocols=[protocol]) as client:
            assert client.response is not None
            assert "sec-websocket-extensions" not in client.response.headers
            await client.send('{"type":"connection_init"}')
            assert json.loads(await client.recv()) == {"type": "connection_ack"}
            await client.send('{"type":"ping","payload":{"a":"' + "x" * 300_000 + '"}}')
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
