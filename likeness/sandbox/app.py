"""A stand-in for fal.ai that speaks its queue protocol, so that the official client works against it unchanged.

In process it sits behind `httpx.ASGITransport`; alone it is served over HTTP (`likeness sandbox`). The path decides
what a call is, whatever the host. Words in a prompt, trigger word, trigger phrase or default caption make it fail:

* `[fail]`   the job ends COMPLETED with "Internal server error", its result is a 500;
* `[policy]` the result is a 422 `content_policy_violation`;
* `[nsfw]`   (prompt only) the picture is black and `has_nsfw_concepts` says true.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from likeness.sandbox.answers import Answer
from likeness.sandbox.queue_routes import QueueRoutes
from likeness.sandbox.sandbox import Sandbox
from likeness.sandbox.storage_routes import StorageRoutes


def create_sandbox(
    data_dir: Path, *, speed: float = 1.0, public_base: str | None = None, now: Callable[[], float] = time.time
) -> Starlette:
    """The sandbox over the files in `data_dir`, which any number of processes may share.

    `speed` multiplies the pace of its jobs (60: a ten-minute training takes ten seconds). `public_base` starts the
    addresses it gives out (`http://127.0.0.1:4000`); without it they are fal's own https hosts. `now` is the time in
    Unix seconds. The lifespan starts and stops `app.state.sandbox`; a server that embeds the app without running its
    lifespan calls `start()` and `stop()` itself. Raises ValueError for a speed of 0 or less.
    """
    sandbox = Sandbox(data_dir, speed=speed, public_base=public_base, now=now)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await sandbox.start()
        try:
            yield
        finally:
            await sandbox.stop()

    app = Starlette(
        routes=[*StorageRoutes(sandbox=sandbox).routes(), *QueueRoutes(sandbox=sandbox).routes()],
        exception_handlers={HTTPException: _refuse},
        lifespan=lifespan,
    )
    app.state.sandbox = sandbox
    return app


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.detail == "NOT_FOUND":
        return Answer({"status": "NOT_FOUND"}, status_code=404)
    return Answer({"detail": error.detail}, status_code=error.status_code, headers=error.headers)
