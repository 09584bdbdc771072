"""What a request's head must say before anything of its body is read."""

from enum import Enum
from typing import Final

from starlette.requests import Request

from likeness.http.errors import BadInput, Forbidden, MethodNotAllowed, UnsupportedMedia
from likeness.http.negotiation import MediaType, media_type

# A browser sends a multipart form to any origin without asking; one of these headers forces it to ask first
# (CVE-2024-47082; the names are Apollo Server's csrfPrevention, graphql-js servers' and jQuery's).
PREFLIGHT_HEADERS: Final = (
    "apollo-require-preflight",
    "x-apollo-operation-name",
    "graphql-require-preflight",
    "x-requested-with",
)

_UTF8: Final = (None, "utf-8", "utf8")


class RequestKind(Enum):
    """Where the operation is to be found."""

    PARAMS = "query string"
    JSON = "JSON body"
    MULTIPART = "multipart body"


def checked_kind(request: Request) -> RequestKind:
    """Judge method, type, charset and encoding.

    Raises `MethodNotAllowed`, `UnsupportedMedia`, `Forbidden` (multipart without a preflight header), `BadInput`.
    """
    if request.method not in ("GET", "POST"):
        raise MethodNotAllowed("GraphQL is asked with GET or POST.", headers={"allow": "GET, POST"})
    if request.method == "GET":
        return RequestKind.PARAMS
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnsupportedMedia("Compressed bodies are not taken.", headers={"accept-encoding": "identity"})
    kind = media_type(request.headers.get("content-type"))
    if kind.name == "application/json":
        _check_charset(kind)
        return RequestKind.JSON
    if kind.name == "multipart/form-data":
        _check_multipart(request, kind)
        return RequestKind.MULTIPART
    raise UnsupportedMedia("The body must be application/json or multipart/form-data.")


def multipart_boundary(request: Request) -> str:
    """The boundary of a request that was judged MULTIPART."""
    return media_type(request.headers.get("content-type")).params["boundary"]


def _check_multipart(request: Request, kind: MediaType) -> None:
    if not any(request.headers.get(name) for name in PREFLIGHT_HEADERS):
        raise Forbidden(f"Uploads need one of these headers, with any value: {', '.join(PREFLIGHT_HEADERS)}.")
    _check_charset(kind)
    if not kind.params.get("boundary"):
        raise BadInput("The multipart body has no boundary.")


def _check_charset(kind: MediaType) -> None:
    # Some codecs take minutes over a megabyte, so a client may not choose one.
    if kind.charset not in _UTF8:
        raise UnsupportedMedia("The charset must be utf-8.")
