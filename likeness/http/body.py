"""Reading a request body: counted, timed, and cut off at a limit."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.types import Receive

from likeness.http.errors import BodyTooSlow, PayloadTooLarge
from likeness.http.limits import HttpLimits


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Body:
    """The body of one HTTP request.

    `declared` is its Content-Length when there is one, `limit` the most bytes it may have.
    """

    def __init__(self, receive: Receive, *, declared: str | None, limit: int, limits: HttpLimits) -> None:
        self._receive = receive
        self._declared = int(declared) if declared is not None and declared.isdecimal() else None
        self._limit = limit
        self._limits = limits
        self._ended = False
        self.received = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body piece by piece.

        Raises `PayloadTooLarge` over the limit (before reading, when the length is declared), `BodyTooSlow`, and
        `ClientGone`.
        """
        if (self._declared or 0) > self._limit:
            await self._refuse()
        started = asyncio.get_running_loop().time()
        while not self._ended:
            chunk = await self._next(started)
            if self.received > self._limit:
                await self._refuse()
            if chunk:
                yield chunk

    async def read(self) -> bytes:
        """The whole body, for small ones. Raises as `chunks` does."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def drain(self) -> None:
        """Throw away what is still coming, up to a bound in bytes and in time.

        A client that is still sending often reads no answer, and closing on it would destroy the answer.
        """
        last = self.received + self._limits.drain_bytes
        with contextlib.suppress(TimeoutError, ClientGone):
            async with asyncio.timeout(self._limits.drain_seconds):
                while not self._ended and self.received < last:
                    await self._take()

    async def _refuse(self) -> None:
        await self.drain()
        raise PayloadTooLarge(f"The body is larger than {self._limit} bytes.")

    async def _next(self, started: float) -> bytes:
        allowed = self._limits.body_grace_seconds + self.received / self._limits.body_bytes_per_second
        try:
            async with asyncio.timeout_at(started + allowed):
                return await self._take()
        except TimeoutError:
            raise BodyTooSlow("The body came too slowly.") from None

    async def _take(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        self.received += len(chunk)
        self._ended = not message.get("more_body", False)
        return chunk
