"""A small GraphQL application on the HTTP room, and clients that speak to it without a network."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

import httpx
import strawberry
from graphql import GraphQLError
from strawberry.file_uploads import Upload

from likeness.http.connection import Connection
from likeness.http.errors import Forbidden, Unauthenticated
from likeness.http.graphql import GraphQLApp
from likeness.http.limits import HttpLimits
from likeness.http.query_limits import schema_extensions
from services.uploads import UploadedFile

PREFLIGHT = {"apollo-require-preflight": "1"}
GRAPHQL_JSON = "application/graphql-response+json"


@dataclass
class Context:
    number: int
    connection: Connection


@strawberry.enum
class Colour(Enum):
    RED = "red"


@strawberry.type
class Tree:
    @strawberry.field
    def name(self) -> str:
        return "tree"

    @strawberry.field
    def kids(self, first: int | None = None) -> list["Tree"]:
        return []

    @strawberry.field
    def parent(self) -> "Tree | None":
        return None


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"hello {name}"

    @strawberry.field
    def double(self, number: int) -> int:
        return number * 2

    @strawberry.field
    def tree(self) -> Tree:
        return Tree()

    @strawberry.field
    def colour(self) -> Colour:
        return "secret blue"  # type: ignore[return-value]

    @strawberry.field
    def boom(self) -> str | None:
        raise RuntimeError("the password is hunter2")

    @strawberry.field
    def bad_id(self) -> str | None:
        raise ValueError("no such global id")

    @strawberry.field
    def refused(self) -> str | None:
        raise GraphQLError("not yours", extensions={"code": "FORBIDDEN"})

    @strawberry.field
    def context_number(self, info: strawberry.Info) -> int:
        return info.context.number


@strawberry.type
class FileInfo:
    filename: str | None
    content_type: str | None
    size: int
    too_large: bool
    on_disk: int
    text: str


@strawberry.type
class Mutation:
    @strawberry.mutation
    def touch(self) -> bool:
        return True

    @strawberry.mutation
    def upload(self, info: strawberry.Info, files: list[Upload], note: str = "") -> list[FileInfo]:
        return [_file_info(file) for file in files]

    @strawberry.mutation
    def upload_and_crash(self, files: list[Upload]) -> bool | None:
        raise RuntimeError("while holding files")


def _file_info(upload: Any) -> FileInfo:
    assert isinstance(upload, UploadedFile)
    return FileInfo(
        filename=upload.filename,
        content_type=upload.content_type,
        size=upload.bytes,
        too_large=upload.too_large,
        on_disk=upload.path.stat().st_size,
        text=_start(upload.path),
    )


def _start(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(20).decode("latin-1")


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(1, to + 1):
            yield number

    @strawberry.subscription
    async def forever(self, info: strawberry.Info) -> AsyncIterator[int]:
        try:
            yield info.context.number
            await asyncio.Event().wait()
        finally:
            CLOSED.append(info.context.number)

    @strawberry.subscription
    async def crash(self) -> AsyncIterator[int]:
        yield 1
        raise RuntimeError("the password is hunter2")


CLOSED: list[int] = []

SCHEMA = strawberry.Schema(Query, Mutation, Subscription, extensions=schema_extensions())


@dataclass
class Stage:
    """The application under test with its temporary folder, and how often a context was made."""

    temp_dir: Path
    limits: HttpLimits
    app: GraphQLApp[Context]
    connections: list[Connection] = field(default_factory=list)

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=10)


def stage(temp_dir: Path, *, allowed_origins: tuple[str, ...] = (), **limits: Any) -> Stage:
    """Build the application. Tokens: `bad` and `banned` are refused, `explode` breaks the sign-in."""
    all_limits = replace(HttpLimits(temp_dir=temp_dir), **limits)
    connections: list[Connection] = []

    async def make_context(connection: Connection) -> Context:
        connections.append(connection)
        token = connection.params.get("authorization") or connection.headers.get("authorization")
        if token == "bad":
            raise Unauthenticated("The token is not valid.")
        if token == "banned":
            raise Forbidden("This account is closed.")
        if token == "explode":
            raise RuntimeError("the identity database is down")
        return Context(number=len(connections), connection=connection)

    app = GraphQLApp(SCHEMA, make_context=make_context, limits=all_limits, allowed_origins=allowed_origins)
    return Stage(temp_dir=temp_dir, limits=all_limits, app=app, connections=connections)


async def post(stage: Stage, query: str, *, accept: str | None = GRAPHQL_JSON, **body: Any) -> httpx.Response:
    """POST one operation as JSON."""
    headers = {"accept": accept} if accept is not None else {}
    async with stage.client() as client:
        return await client.post("/graphql", json={"query": query, **body}, headers=headers)


def code_of(response: httpx.Response) -> str:
    """The code of the first error, with the form of the body checked."""
    body = response.json()
    assert body["errors"], body
    code: str = body["errors"][0]["extensions"]["code"]
    return code


# ---- websocket ----


@dataclass
class Peer:
    """The client's side of a websocket to an ASGI application."""

    incoming: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    outgoing: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)

    async def send(self, message: object) -> None:
        await self.send_text(json.dumps(message))

    async def send_text(self, text: str) -> None:
        await self.incoming.put({"type": "websocket.receive", "text": text})

    async def send_bytes(self, data: bytes) -> None:
        await self.incoming.put({"type": "websocket.receive", "bytes": data})

    async def event(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return await self.outgoing.get()

    async def message(self) -> dict[str, Any]:
        event = await self.event()
        assert event["type"] == "websocket.send", event
        decoded: dict[str, Any] = json.loads(event["text"])
        return decoded

    async def close_code(self) -> int:
        event = await self.event()
        assert event["type"] == "websocket.close", event
        assert len((event.get("reason") or "").encode()) <= 123
        code: int = event["code"]
        return code

    async def init(self, payload: Mapping[str, Any] | None = None) -> None:
        message = {"type": "connection_init"} if payload is None else {"type": "connection_init", "payload": payload}
        await self.send(message)
        assert await self.message() == {"type": "connection_ack"}

    async def subscribe(self, id: str, query: str, **payload: Any) -> None:
        await self.send({"type": "subscribe", "id": id, "payload": {"query": query, **payload}})


@asynccontextmanager
async def opened(
    stage: Stage, *, headers: Mapping[str, str] | None = None, protocols: tuple[str, ...] = ("graphql-transport-ws",)
) -> AsyncIterator[Peer]:
    """Open a websocket; on leaving, disconnect and wait until the application is done with it."""
    peer = Peer()
    all_headers = {"host": "localhost", **(headers or {})}
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "path": "/graphql",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in all_headers.items()],
        "subprotocols": list(protocols),
        "client": ("127.0.0.1", 5),
    }
    await peer.incoming.put({"type": "websocket.connect"})
    served = asyncio.ensure_future(stage.app(scope, peer.incoming.get, peer.outgoing.put))
    try:
        yield peer
    finally:
        await peer.incoming.put({"type": "websocket.disconnect", "code": 1001})
        async with asyncio.timeout(5):
            await served
