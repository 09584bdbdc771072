"""What can go wrong between a client and a server, each with one sentence and a code for programs."""

from collections.abc import Sequence
from typing import Any


class ClientError(Exception):
    """The server refused, or what it did ended badly: `message` is for people, `code` for programs."""

    def __init__(self, message: str, *, code: str = "UNKNOWN") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class ServerUnreachable(ClientError):
    """Nothing answers at the address."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="SERVER_UNREACHABLE")


class ConnectionLost(ClientError):
    """The connection broke before the answer was complete."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="CONNECTION_LOST")


class PhotosRejected(ClientError):
    """Some photos were refused, one line each in the message; `photos` are those the server kept."""

    def __init__(self, reasons: Sequence[str], *, photos: Sequence[dict[str, Any]], code: str) -> None:
        given = len(reasons) + len(photos)
        lines = "".join(f"\n  {reason}" for reason in reasons)
        super().__init__(f"{len(reasons)} of {given} photos were refused:{lines}", code=code)
        self.photos = list(photos)
