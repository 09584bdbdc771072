"""Every request carries an id, the client's when it is sane, else ours; it is echoed and stands in every log line."""

import re
from typing import Final
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars, get_contextvars

HEADER: Final = "x-request-id"

# Long enough for a UUID or a trace id, and nothing that could forge a log line or a header.
_SANE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}")


def new_request_id() -> str:
    """A fresh random id, 32 hexadecimal digits."""
    return uuid4().hex


def current_request_id() -> str:
    """The id of the request being served, or a fresh one outside of any request."""
    known = get_contextvars().get("request_id")
    return known if isinstance(known, str) else new_request_id()


class RequestIdMiddleware:
    """Pure ASGI middleware: binds `request_id` for structlog and answers with `X-Request-Id`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _SANE.fullmatch(given) else new_request_id()

        async def send_with_id(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message.setdefault("headers", [])
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        with bound_contextvars(request_id=request_id):
            await self.app(scope, receive, send_with_id)
