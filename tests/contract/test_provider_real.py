"""The real mode over real sockets: SSL_CERT_FILE, a CONNECT proxy, and one POST when the connection drops after it."""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

SCRIPT = """
import asyncio, json, sys
from models.errors import LikenessError
from services.gateways.fal import FalProvider

async def main():
    provider = FalProvider.real("id:very-secret")
    said = [await provider.healthy()]
    for endpoint in ("owner/good", "owner/drop"):
        try:
            said.append((await provider.submit(endpoint, {"a": 1})).request_id)
        except LikenessError as error:
            said.append([type(error).__name__, str(error)])
    await provider.close()
    print(json.dumps(said))

asyncio.run(main())
"""


@dataclass
class Server:
    """fal over TLS on `port`, and a CONNECT proxy to it on `proxy_port`."""

    ca: Path
    port: int = 0
    proxy_port: int = 0
    posts: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    connects: list[str] = field(default_factory=list)

    async def fal(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers a request, or drops the connection once the whole of it has arrived."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        await reader.readexactly(int(headers.get("content-length", 0)))
        if head.startswith("POST"):
            self.posts.append(head.split()[1])
            self.keys.add(headers["authorization"])
        if "/drop" not in head:
            body = json.dumps(dict.fromkeys(("request_id", "status_url", "response_url", "cancel_url"), "r1"))
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
            writer.write(b"" if head.startswith("HEAD") else body.encode())
        await _close(writer)

    async def proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Leads every host to the TLS server."""
        self.connects.append((await reader.readuntil(b"\r\n\r\n")).decode().split()[1])
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Both, with a certificate of an authority of its own."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1", "queue.fal.run").configure_cert(context)
    server = Server(tmp_path / "ca.pem")
    async with _listening(server.fal, context) as port:
        server.port = port
        async with _listening(server.proxy, None) as proxy_port:
            server.proxy_port = proxy_port
            yield server


@asynccontextmanager
async def _listening(handler: object, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    tasks = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(handler(reader, writer)))  # type: ignore[operator]

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    yield listener.sockets[0].getsockname()[1]
    listener.close()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run_script(**environment: str) -> tuple[list[object], str]:
    """What the script said and its error stream; it runs apart because fal_client reads its hosts at import."""
    clean = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith(("FAL_", "SSL_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, cwd=Path(__file__).parents[2],
        env=clean | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return json.loads(out or "[]"), err.decode()


async def test_real_mode_trusts_ssl_cert_file_and_submits_once(server: Server) -> None:
    """Over TLS with its own authority: one job accepted, one POST lost after it arrived, no third."""
    said, errors = await run_script(FAL_QUEUE_RUN_HOST=f"127.0.0.1:{server.port}", SSL_CERT_FILE=str(server.ca))
    assert said[:2] == [True, "r1"], errors
    assert said[2][0] == "SubmitUnknown"  # type: ignore[index]
    assert (["/owner/good", "/owner/drop"], {"key id:very-secret"}) == (server.posts, server.keys)
    assert "very-secret" not in str(said) + errors


async def test_real_mode_goes_through_the_proxy_of_the_environment(server: Server) -> None:
    """HTTPS_PROXY leads to fal's own host names, and a lost answer is no reason for a second POST there either."""
    said, errors = await run_script(HTTPS_PROXY=f"http://127.0.0.1:{server.proxy_port}", SSL_CERT_FILE=str(server.ca))
    assert said[:2] == [True, "r1"], errors
    assert said[2][0] == "SubmitUnknown"  # type: ignore[index]
    assert server.posts == ["/owner/good", "/owner/drop"]
    assert {"queue.fal.run:443"} == set(server.connects)


async def test_real_mode_refuses_unknown_certificates(server: Server) -> None:
    """Without the authority nothing is sent, and that is known."""
    said, _ = await run_script(FAL_QUEUE_RUN_HOST=f"127.0.0.1:{server.port}")
    assert said[0] is False
    assert [error[0] for error in said[1:]] == ["ProviderUnavailable", "ProviderUnavailable"]  # type: ignore[index]
    assert server.posts == []
