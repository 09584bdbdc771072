"""What becomes of a websocket's end: worth another try, or not."""

import httpx
import pytest
from gql.transport.exceptions import TransportConnectionFailed, TransportQueryError
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

from likeness.client.connection import is_loopback
from likeness.client.errors import ClientError, ConnectionLost
from likeness.client.failures import http_failure, socket_failure

URL = "http://127.0.0.1:3001"


def lost(cause: Exception) -> TransportConnectionFailed:
    """What gql raises for a socket's end."""
    failure = TransportConnectionFailed("Error trying to receive data")
    failure.__cause__ = cause
    return failure


def closed(code: int) -> Exception:
    """A close frame from the server."""
    return ConnectionClosedError(Close(code, ""), None)


def status(code: int) -> Exception:
    """A handshake that was answered with an HTTP status."""
    return InvalidStatus(Response(code, "", Headers()))


@pytest.mark.parametrize("cause", [closed(1012), closed(4408), closed(4500), status(502), OSError("no route"), None])
def test_worth_another_try(cause: Exception) -> None:
    """A restart, a network failure, a proxy without its server."""
    assert isinstance(socket_failure(lost(cause), url=URL), ConnectionLost)


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (closed(4403), "CLOSED_4403"),
        (closed(4401), "CLOSED_4401"),
        (closed(4400), "CLOSED_4400"),
        (status(403), "HTTP_403"),
    ],
)
def test_refused(cause: Exception, code: str) -> None:
    """What the server refuses stays refused."""
    failure = socket_failure(lost(cause), url=URL)
    assert (code, False) == (failure.code, isinstance(failure, ConnectionLost))


def test_error_of_the_subscription() -> None:
    """An error of the operation itself is told with its own sentence."""
    errors = [{"message": "There is no training with this id.", "extensions": {"code": "NOT_FOUND"}}]
    failure = socket_failure(TransportQueryError("x", errors=errors), url=URL)
    assert (ClientError, "NOT_FOUND", errors[0]["message"]) == (type(failure), failure.code, failure.message)


def test_fault_of_the_server() -> None:
    """A database that is away for a moment is worth another try, and told with the server's sentence in the end."""
    errors = [{"message": "Something went wrong on our side.", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]
    failure = socket_failure(TransportQueryError("x", errors=errors), url=URL)
    assert (ConnectionLost, errors[0]["message"]) == (type(failure), failure.message)


def test_time_out() -> None:
    """A server that is there but does not answer is not called unreachable."""
    assert "CONNECTION_LOST" == http_failure(httpx.ReadTimeout("slow"), url=URL).code


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1", True),
        ("http://localhost", True),
        ("http://[::1]:3", True),
        ("https://example.com", False),
    ],
)
def test_is_loopback(url: str, expected: bool) -> None:
    """Only this machine's own addresses go round a proxy."""
    assert expected == is_loopback(url)
