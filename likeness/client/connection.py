"""One server's GraphQL address: HTTP for queries and mutations, a websocket for each subscription."""

import ipaddress
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Any, Final, Self
from urllib.parse import urlsplit

import gql
import httpx
from gql.client import AsyncClientSession
from gql.transport.exceptions import TransportError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

from likeness.client.failures import http_failure, socket_failure

# An upload is answered once every photo has been decoded and stored.
_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0, read=300.0)
# Offered alone: with the legacy protocol beside it, gql would choose that one.
_SUBPROTOCOL: Final = WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL


class Connection:
    """An async context manager. `http` replaces the network below HTTP (for tests)."""

    def __init__(self, url: str, *, headers: Mapping[str, str], http: httpx.AsyncBaseTransport | None = None) -> None:
        """`url` is the server's address without /graphql; `headers` go with every request and websocket."""
        self.url = url.rstrip("/").removesuffix("/graphql")
        self._headers = dict(headers)
        # A proxy of the environment cannot reach this machine's own servers.
        options: dict[str, Any] = {"timeout": _TIMEOUT, "trust_env": not is_loopback(self.url), "transport": http}
        self.files = httpx.AsyncClient(follow_redirects=True, **options)
        sent = self._headers | {"graphql-require-preflight": "1"}
        self._http = HTTPXAsyncTransport(f"{self.url}/graphql", headers=sent, **options)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        client = gql.Client(transport=self._http, execute_timeout=None)
        await self._open.enter_async_context(self.files)
        self._session: AsyncClientSession = await self._open.enter_async_context(client)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._open.aclose()

    async def execute(self, document: str, *, files: bool = False, **variables: Any) -> dict[str, Any]:
        """The `data` of a query or mutation; with `files`, `FileVar`s among the variables are streamed from disk.

        Raises `ClientError`.
        """
        request = gql.GraphQLRequest(document, variable_values=variables)
        try:
            data: dict[str, Any] = await self._session.execute(request, upload_files=files)
        except TransportError as error:
            raise http_failure(error, url=self.url) from error
        return data

    async def subscribe(self, document: str, **variables: Any) -> AsyncGenerator[dict[str, Any], None]:
        """The `data` of each event until the server completes, over a websocket of its own.

        Raises `ConnectionLost` when another try may help, else `ClientError`.
        """
        request = gql.GraphQLRequest(document, variable_values=variables)
        try:
            async with self._socket() as session, aclosing(session.subscribe(request)) as events:
                async for data in events:
                    yield data
        except (TransportError, OSError) as error:
            raise socket_failure(error, url=self.url) from error

    @asynccontextmanager
    async def _socket(self) -> AsyncIterator[AsyncClientSession]:
        transport = WebsocketsTransport(
            f"ws{self.url.removeprefix('http')}/graphql",
            headers=self._headers,
            init_payload={name: value for name, value in self._headers.items() if name == "authorization"},
            subprotocols=[_SUBPROTOCOL],
            connect_args={"proxy": None} if is_loopback(self.url) else {},
        )
        try:
            yield await gql.Client(transport=transport).connect_async()  # type: ignore[no-untyped-call]
        finally:
            # Closing a socket that has just been lost may raise; it is gone either way.
            with suppress(TransportError, OSError):
                await transport.close()


def is_loopback(url: str) -> bool:
    """Whether an address leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
