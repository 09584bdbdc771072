"""What operators ask: is the process alive, can it work, and how is it doing."""

from collections.abc import Awaitable, Callable, Mapping

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_log = structlog.get_logger()

_NO_STORE = {"cache-control": "no-store"}


def health_routes(
    *, ready: Callable[[], Awaitable[Mapping[str, bool]]], registry: CollectorRegistry = REGISTRY
) -> list[Route]:
    """Routes /healthz (200 while the process lives), /readyz (200, or 503 when a part that `ready` names is down,
    or when asking fails) and /metrics (Prometheus text format)."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"ok": True}, headers=_NO_STORE)

    async def readyz(request: Request) -> Response:
        try:
            parts = await ready()
        except Exception as error:
            _log.error("readyz.failed", exc_info=error)
            parts = {"readiness": False}
        ok = all(parts.values())
        return JSONResponse({"ok": ok, "parts": dict(parts)}, status_code=200 if ok else 503, headers=_NO_STORE)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), headers={**_NO_STORE, "content-type": CONTENT_TYPE_LATEST})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
