"""A stubborn client in plain `gql`: what a server that dies leaves unanswered is asked again."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from gql import Client, FileVar, GraphQLRequest
from gql.transport.exceptions import TransportClosed, TransportConnectionFailed, TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import WebSocketException

from tests.e2e import main_job
from tests.e2e.crashing.process import ready_code
from tests.photos import jpeg_bytes

GENERATION_PROGRESS = """
subscription ($id: ID!, $after: Int) {
  generationProgress(generationId: $id, afterSeq: $after) { seq status message }
}
"""
AUDIT = "{ auditLedger { balanced entries brokenAt } }"
LEDGER = "{ ledger(first: 100) { nodes { kind amount jobId } } }"
PHOTOS = 4
INTERNAL = "INTERNAL_SERVER_ERROR"
FINAL = {"COMPLETED", "FAILED", "CANCELLED"}
LOST = (TransportConnectionFailed, TransportClosed, WebSocketException, OSError, EOFError)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """One user of the server at `url`; `token` is a bearer token. It asks again for `patience` seconds."""

    url: str
    token: str | None = None
    patience: float = 60.0

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    async def ask(self, document: str, **variables: Any) -> Any:
        """The one field that a document asks for; asked again while nobody answers."""
        return await self._ask(GraphQLRequest(document, variable_values=variables))

    async def upload(self, photos: Sequence[Path]) -> list[str]:
        """Upload; the photos' ids."""
        files = [FileVar(str(photo)) for photo in photos]
        request = GraphQLRequest(main_job.UPLOAD, variable_values={"input": {"photos": files}})
        payload = await self._ask(request, upload_files=True)
        assert payload["userErrors"] == []
        return [photo["id"] for photo in payload["photos"]]

    async def train(self, photos: Sequence[str], key: str, *, steps: int = 100) -> str:
        """Start a training; asked twice with a key, there is one. Its id."""
        wanted = {"modelName": "Me", "photoIds": list(photos), "idempotencyKey": key, "steps": steps}
        payload = await self.ask(main_job.START, input=wanted)
        assert payload["userErrors"] == []
        return str(payload["training"]["id"])

    async def draw(self, prompt: str, key: str) -> str:
        """Ask for one picture, whose run is named. Its id."""
        payload = await self.ask(main_job.GENERATE, input={"prompt": prompt, "runId": key})
        assert payload["userErrors"] == []
        [generation] = payload["generations"]
        return str(generation["id"])

    async def follow(self, document: str, id: str) -> list[dict[str, Any]]:
        """Every event of a job up to its end, over as many websockets as it takes."""
        return [event async for event in self.live(document, id)]

    async def live(self, document: str, id: str, *, after: int = 0) -> AsyncGenerator[dict[str, Any], None]:
        """The same, one by one; what the server or the websocket lost goes on after the last event."""
        ended = False
        while not ended:
            try:
                async with aclosing(self._events(document, id, after)) as events:
                    async for event in events:
                        after, ended = event["seq"], event["status"] in FINAL
                        yield event
                assert ended, f"the stream of {id} ended after event {after}, which is not the last"
            except LOST:
                await self.reachable()
            except TransportQueryError as error:
                if [INTERNAL] != [(one.get("extensions") or {}).get("code") for one in error.errors or ()]:
                    raise
                await self.reachable()

    async def reachable(self) -> None:
        """Wait until somebody serves."""

        async def is_ready() -> bool:
            return await ready_code(self.url) == 200

        await until(is_ready, seconds=self.patience)

    async def bytes_at(self, url: str) -> bytes:
        """The file at an address that we were told."""
        async with httpx.AsyncClient(trust_env=False, timeout=30, verify=False) as client:
            answer = await client.get(url)
            return answer.raise_for_status().content

    async def _ask(self, request: GraphQLRequest, **options: Any) -> Any:
        async def answer() -> list[Any]:
            with suppress(*LOST):
                async with self._client() as session:
                    return list((await session.execute(request, **options)).values())
            return []

        (value,) = await until(answer, seconds=self.patience)
        return value

    def _client(self) -> Client:
        headers = self.headers | {"graphql-require-preflight": "1"}
        transport = HTTPXAsyncTransport(
            f"{self.url}/graphql", headers=headers, timeout=60, trust_env=False, verify=False
        )
        return Client(transport=transport, execute_timeout=None)

    async def _events(self, document: str, id: str, after: int) -> AsyncGenerator[dict[str, Any], None]:
        transport = WebsocketsTransport(
            f"ws{self.url.removeprefix('http')}/graphql",
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
            init_payload=self.headers,
            connect_args={"proxy": None},
        )
        async with Client(transport=transport) as socket:
            request = GraphQLRequest(document, variable_values={"id": id, "after": after})
            async with aclosing(socket.subscribe(request)) as answers:
                async for answer in answers:
                    (event,) = answer.values()
                    yield event


def draw_photos(folder: Path, number: int) -> list[Path]:
    """As few photos as the provider takes, tiny, others for every number."""
    files = [folder / f"photo{number}-{colour}.jpg" for colour in range(PHOTOS)]
    for colour, file in enumerate(files):
        file.write_bytes(jpeg_bytes(64, 64, colour=(number % 256, number // 256, 50 * colour)))
    return files


async def until(what: Any, *, seconds: float) -> Any:
    """Wait until an async question is answered with something true, and return that."""
    async with asyncio.timeout(seconds):
        while not (answer := await what()):
            await asyncio.sleep(0.05)
    return answer
