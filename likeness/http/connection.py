"""What is known about a caller before signing in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

from likeness.http.request_id import current_request_id


@dataclass(frozen=True, kw_only=True)
class Connection:
    """One HTTP request or one websocket.

    `headers` are looked up without regard to case; `params` is the payload of `connection_init`, empty for HTTP.
    """

    headers: Mapping[str, str]
    client_host: str | None
    request_id: str
    params: Mapping[str, Any] = field(default_factory=dict)


def connection_of(scope: Scope) -> Connection:
    """The caller of an ASGI `http` or `websocket` scope."""
    client = scope.get("client")
    return Connection(
        headers=Headers(scope=scope),
        client_host=client[0] if client else None,
        request_id=current_request_id(),
    )
