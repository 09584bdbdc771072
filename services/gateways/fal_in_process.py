"""fal's own client with its sockets replaced by calls into an ASGI app: the real code reaches the sandbox."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
from asyncstdlib import cached_property
from fal_client import AsyncClient
from fal_client.auth import AuthCredentials
from fal_client.client import AsyncCDNTokenManager, CDNToken

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
SANDBOX_KEY = "sandbox"


class InProcessClient(AsyncClient):
    """Every HTTP client that fal_client 1.0.3 makes for itself, served by `app`."""

    def __init__(self, app: AsgiApp) -> None:
        super().__init__(key=SANDBOX_KEY)
        self._app = app

    @cached_property(asyncio.Lock)
    async def _client(self) -> httpx.AsyncClient:
        auth = await self._auth
        return httpx.AsyncClient(transport=httpx.ASGITransport(self._app), headers=auth.as_headers())

    @cached_property(asyncio.Lock)
    async def _token_manager(self) -> AsyncCDNTokenManager:
        return _InProcessTokens(await self._auth, http=await self._client)

    @asynccontextmanager
    async def _cdn_client(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app)) as client:
            yield client


class _InProcessTokens(AsyncCDNTokenManager):
    def __init__(self, auth: AuthCredentials, *, http: httpx.AsyncClient) -> None:
        super().__init__(auth)
        self._http = http

    async def _refresh_token(self) -> CDNToken:
        response = await self._http.post(self._url, headers=self._headers, json={})
        response.raise_for_status()
        data = response.json()
        return CDNToken(
            token=data["token"],
            token_type=data["token_type"],
            base_upload_url=data["base_url"],
            expires_at=datetime.fromisoformat(data["expires_at"]),
        )
