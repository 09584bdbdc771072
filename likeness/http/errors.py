"""Refusals: what a client is told when a request does not reach execution.

RequestRefused
├── BadInput, MethodNotAllowed, UnsupportedMedia, BodyTooSlow   BAD_USER_INPUT
├── PayloadTooLarge                                             PAYLOAD_TOO_LARGE
├── Unauthenticated                                             UNAUTHENTICATED
├── Forbidden                                                   FORBIDDEN
└── NotStored                                                   INTERNAL_SERVER_ERROR
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

from graphql import GraphQLError

from likeness.http.request_id import current_request_id


class Code(StrEnum):
    """`extensions.code` of a top-level error (the names Apollo's clients know)."""

    PARSE = "GRAPHQL_PARSE_FAILED"
    VALIDATION = "GRAPHQL_VALIDATION_FAILED"
    INPUT = "BAD_USER_INPUT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    TOO_LARGE = "PAYLOAD_TOO_LARGE"
    INTERNAL = "INTERNAL_SERVER_ERROR"


class RequestRefused(GraphQLError):
    """The request is refused: `status` for HTTP, `code` in `extensions`, `headers` for the response."""

    status: ClassVar[int] = 400
    code: ClassVar[Code] = Code.INPUT

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, extensions={"code": self.code.value})
        self.headers = dict(headers or {})


class BadInput(RequestRefused):
    """The request is malformed."""


class MethodNotAllowed(RequestRefused):
    """The method is not for this address; `Allow` names those that are (RFC 9110, 15.5.6)."""

    status = 405


class UnsupportedMedia(RequestRefused):
    """The body's type, charset or encoding is not understood."""

    status = 415


class BodyTooSlow(RequestRefused):
    """The body did not arrive in time."""

    status = 408


class PayloadTooLarge(RequestRefused):
    """The body, or the number of files in it, is over a limit."""

    status = 413
    code = Code.TOO_LARGE


class Unauthenticated(RequestRefused):
    """The caller did not prove who they are."""

    status = 401
    code = Code.UNAUTHENTICATED

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        # RFC 9110, 15.5.2: a 401 names at least one way to sign in.
        super().__init__(message, headers=headers or {"www-authenticate": "Bearer"})


class Forbidden(RequestRefused):
    """The caller may not do this."""

    status = 403
    code = Code.FORBIDDEN


class NotStored(RequestRefused):
    """What was sent could not be written on our side, as when the disk is full (RFC 4918, 11.5); it may work later."""

    status = 507
    code = Code.INTERNAL

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"retry-after": "60"})
        self.extensions = {**(self.extensions or {}), "requestId": current_request_id()}
