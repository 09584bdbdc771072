"""What the libraries below raise, as the errors of this client."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import httpx
from gql.transport.exceptions import TransportQueryError, TransportServerError
from websockets.exceptions import ConnectionClosed, InvalidStatus

from likeness.client.errors import ClientError, ConnectionLost, ServerUnreachable

# Close codes of graphql-transport-ws after which trying again cannot help.
_REFUSALS: Final = {
    4400: "the server did not understand a message",
    4401: "sign in first",
    4403: "the sign-in was refused",
    4406: "the server does not speak graphql-transport-ws",
}
# What a server answers while its database is away.
_SERVER_FAULT: Final = "INTERNAL_SERVER_ERROR"


def http_failure(error: Exception, *, url: str) -> ClientError:
    """The error for a request over HTTP that `gql` or `httpx` gave up."""
    causes = tuple(_causes(error))
    if isinstance(error, TransportQueryError):
        return refused(error.errors or (), fallback=str(error))
    if any(isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout) for cause in causes):
        return ServerUnreachable(f"Nothing answers at {url}.")
    if any(isinstance(cause, httpx.RequestError) for cause in causes):
        return ConnectionLost(f"The connection to {url} broke: {type(causes[-1]).__name__}.")
    if isinstance(error, TransportServerError):
        return ClientError(f"{url} answered with HTTP status {error.code}.", code=f"HTTP_{error.code}")
    return ClientError(f"What answers at {url} does not speak GraphQL.", code="PROTOCOL_ERROR")


def socket_failure(error: Exception, *, url: str) -> ClientError:
    """The error for a subscription that ended early; `ConnectionLost` when it is worth another try."""
    if isinstance(error, TransportQueryError):
        failure = refused(error.errors or (), fallback=str(error))
        return ConnectionLost(failure.message) if failure.code == _SERVER_FAULT else failure
    for cause in _causes(error):
        code = cause.rcvd.code if isinstance(cause, ConnectionClosed) and cause.rcvd else 0
        if code in _REFUSALS:
            return ClientError(f"The websocket of {url} was closed: {_REFUSALS[code]}.", code=f"CLOSED_{code}")
        if isinstance(cause, InvalidStatus) and cause.response.status_code < 500:
            status = cause.response.status_code
            return ClientError(f"The websocket of {url} was refused with HTTP status {status}.", code=f"HTTP_{status}")
    return ConnectionLost(f"The websocket to {url} was lost.")


def refused(errors: Sequence[Mapping[str, Any]], *, fallback: str = "The server refused.") -> ClientError:
    """The first of a payload's `userErrors`, or of an answer's top-level `errors`."""
    if not errors:
        return ClientError(fallback)
    first = errors[0]
    extensions = first.get("extensions") or {}
    return ClientError(first.get("message") or fallback, code=first.get("code") or extensions.get("code") or "UNKNOWN")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
