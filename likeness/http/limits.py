"""The numbers that bound what one client can make the server do (measured: docs of the limits, OWASP API4)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MIB: Final = 1024 * 1024

# Options for `uvicorn.run`: a websocket message is at most 256 KiB, and compression is off because a few hundred
# deflated kilobytes unfold to hundreds of megabytes.
UVICORN_WS: Final[dict[str, Any]] = {"ws_max_size": 256 * 1024, "ws_per_message_deflate": False}

# Request headers that Apollo, urql, Relay and GraphiQL send from another origin: `allow_headers` of CORSMiddleware.
CORS_HEADERS: Final = (
    "authorization",
    "content-type",
    "apollo-require-preflight",
    "graphql-require-preflight",
    "x-apollo-operation-name",
    "x-apollo-operation-id",
    "apollographql-client-name",
    "apollographql-client-version",
    "x-requested-with",
    "x-request-id",
    "x-telegram-user-id",
)

CORS_METHODS: Final = ("GET", "POST")
CORS_EXPOSED_HEADERS: Final = ("x-request-id",)


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """Bounds on bodies and sockets. Sizes in bytes, times in seconds.

    A body must arrive within `body_grace_seconds` plus its size at `body_bytes_per_second`; of a refused body up to
    `drain_bytes` are read for up to `drain_seconds` and thrown away, so that the client gets to see the refusal.
    """

    temp_dir: Path
    max_json_bytes: int = MIB
    max_upload_bytes: int = 202 * MIB
    max_file_bytes: int = 10 * MIB
    max_archive_bytes: int = 201 * MIB
    max_files: int = 100
    max_operations_bytes: int = MIB
    max_map_bytes: int = 64 * 1024
    drain_bytes: int = MIB
    drain_seconds: float = 5.0
    body_grace_seconds: float = 15.0
    body_bytes_per_second: int = 32 * 1024
    operations_per_socket: int = 50
    socket_init_seconds: float = 5.0

    def file_limit(self, place: str) -> int:
        """The largest file for a place in the variables, such as `variables.input.photos.0`."""
        return self.max_archive_bytes if place.endswith(".archive") else self.max_file_bytes
