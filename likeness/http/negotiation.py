"""Which media type to answer with, and what a request's own type says (RFC 9110, 12.5.1 and 8.3)."""

from dataclasses import dataclass
from typing import Final

from python_multipart.multipart import parse_options_header

GRAPHQL_JSON: Final = "application/graphql-response+json"
JSON: Final = "application/json"
HTML: Final = "text/html"


@dataclass(frozen=True)
class MediaType:
    """A `Content-Type` taken apart: lower-case name, and parameters."""

    name: str
    params: dict[str, str]

    @property
    def charset(self) -> str | None:
        """The charset in lower case, when one is given."""
        given = self.params.get("charset")
        return given.strip().lower() if given is not None else None


def media_type(header: str | None) -> MediaType:
    """Take a `Content-Type` header apart; a missing one has an empty name."""
    # Header values are Latin-1 by the ASGI specification, but a test client may hand over more.
    name, options = parse_options_header((header or "").encode("latin-1", "replace").decode("latin-1"))
    params = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in options.items()}
    return MediaType(name.decode("latin-1"), params)


def response_type(accept: str | None) -> str:
    """The GraphQL media type to answer with.

    The one the client weighs higher; application/json for wildcards, a missing header, and when neither is accepted
    (GraphQL over HTTP leaves that to the server, and a readable answer serves more clients than 406).
    """
    weights = _weights(accept)
    rich, plain = weights.get(GRAPHQL_JSON, 0.0), _weight(weights, JSON)
    return GRAPHQL_JSON if rich > 0 and rich >= plain else JSON


def wants_page(accept: str | None) -> bool:
    """Whether the client is a browser that opens the address: HTML is named, and not below JSON."""
    weights = _weights(accept)
    page = weights.get(HTML, 0.0)
    return page > 0 and page >= max(weights.get(JSON, 0.0), weights.get(GRAPHQL_JSON, 0.0))


def _weight(weights: dict[str, float], name: str) -> float:
    for pattern in (name, "application/*", "*/*"):
        if pattern in weights:
            return weights[pattern]
    return 0.0


def _weights(accept: str | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for item in (accept or "").split(","):
        name, *params = [part.strip().lower() for part in item.split(";")]
        if name:
            found[name] = max(found.get(name, 0.0), _quality(params))
    return found


def _quality(params: list[str]) -> float:
    for param in params:
        key, _, value = param.partition("=")
        if key.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
