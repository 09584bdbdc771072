"""The web application: routes, middleware and what lives as long as the process."""

import asyncio
import gc
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TypedDict
from uuid import UUID

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute

from likeness.assembly import Assembly
from likeness.http.connection import Connection
from likeness.http.errors import Unauthenticated
from likeness.http.graphql import GraphQLApp
from likeness.http.health import health_routes
from likeness.http.limits import CORS_EXPOSED_HEADERS, CORS_HEADERS, CORS_METHODS, MIB, HttpLimits
from likeness.http.media import media_route
from likeness.http.page import page_files_route
from likeness.http.query_limits import schema_extensions
from likeness.http.request_id import RequestIdMiddleware
from likeness.http.webhooks import webhook_route
from likeness.settings import Settings
from likeness.wiring import media_root, wired
from models.errors import NotSignedIn
from models.user import User
from schema.context import Context
from schema.root import build_schema
from services.database import DATABASE_ERRORS
from services.health import database_works

SWEEP_SECONDS = 30.0
UPKEEP_SECONDS = 60.0
TASK_SECONDS = 3.0  # longest wait for a sweep that is cancelled
STOP_SECONDS = 12.0  # longest wait for the end of all work; a step of a run may take ten seconds to clean up
CREDENTIALS = ("authorization", "x-telegram-user-id")

_log = structlog.get_logger()


class State(TypedDict):
    """What the lifespan hands to requests."""

    wired: Assembly


def create_app(settings: Settings) -> Starlette:
    """The application for given settings; opened and closed by its lifespan."""
    server = Server(settings)
    return Starlette(routes=server.routes(), middleware=server.middleware(), lifespan=server.lifespan)


class Server:
    """One process's web server around its wiring, which exists from the lifespan's start to its end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wired: Assembly | None = None

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[State]:
        """Open everything and work on durable runs until the end; the database is migrated already."""
        async with wired(self._settings) as everything, working(everything):
            self._wired = everything
            gc.set_threshold(5_000)  # by default one page of 50 pictures is interrupted 8 times
            gc.collect()
            gc.freeze()  # what start-up made lives for ever: a full collection over it stops the loop for 130 ms
            yield {"wired": everything}

    def routes(self) -> list[BaseRoute]:
        """GraphQL over HTTP and websocket, GraphiQL, health, webhooks when we can be reached, local assets."""
        limits = self._limits()
        graphql = GraphQLApp(
            build_schema(schema_extensions()),
            make_context=self._context,
            limits=limits,
            allowed_origins=self._settings.cors_origins,
        )
        routes: list[BaseRoute] = [
            Route("/", lambda request: RedirectResponse("/graphql")),
            Route("/graphql", graphql),
            WebSocketRoute("/graphql", graphql),
            page_files_route(),
            *health_routes(ready=self._ready),
            media_route(media_root(self._settings), self._may_read, self._prepare),
        ]
        if self._settings.public_url is not None:
            routes.append(webhook_route(self._receive, limits=limits))
        return routes

    def middleware(self) -> list[Middleware]:
        """Request ids, and CORS when other origins are allowed."""
        layers = [Middleware(RequestIdMiddleware)]
        if self._settings.cors_origins:
            cors = Middleware(
                CORSMiddleware, allow_origins=list(self._settings.cors_origins), allow_methods=CORS_METHODS,
                allow_headers=CORS_HEADERS, expose_headers=CORS_EXPOSED_HEADERS,
            )  # fmt: skip
            layers.append(cors)
        return layers

    def _limits(self) -> HttpLimits:
        photos = self._settings.max_photos * self._settings.max_photo_bytes
        return HttpLimits(
            temp_dir=self._settings.data_dir.absolute() / "tmp",
            max_upload_bytes=max(photos, self._settings.largest_archive) + 2 * MIB,
            max_file_bytes=self._settings.max_photo_bytes,
            max_archive_bytes=self._settings.largest_archive,
        )

    async def _context(self, connection: Connection) -> Context:
        everything = self._running()
        asked = {name.lower(): value for name, value in connection.params.items() if isinstance(value, str)}
        credentials = {name: asked.get(name) or connection.headers.get(name) for name in CREDENTIALS}
        signed_in: User | Exception
        try:
            signed_in = await everything.services.identity.authenticate(
                authorization=credentials["authorization"],
                telegram_id=credentials["x-telegram-user-id"],
                client_host=connection.client_host,
            )
        except NotSignedIn as error:
            raise Unauthenticated(str(error)) from error
        except DATABASE_ERRORS as error:
            signed_in = error  # `health` says what works without knowing who asks
        return Context.build(everything.services, signed_in, connection.request_id)

    async def _ready(self) -> Mapping[str, bool]:
        return {"started": self._wired is not None, "database": await database_works()}

    async def _receive(self, headers: Mapping[str, str], body: bytes, *, submission: UUID | None) -> None:
        await self._running().services.webhooks.receive(headers, body, submission=submission)

    def _may_read(self, path: str, params: Mapping[str, str]) -> bool:
        return self._running().gateways.may_read(path, params)

    async def _prepare(self, path: str) -> None:
        await self._running().gateways.prepare(path)

    def _running(self) -> Assembly:
        assert self._wired is not None, "the lifespan opens everything before the first request"
        return self._wired


@asynccontextmanager
async def working(everything: Assembly) -> AsyncIterator[None]:
    """Work on durable runs and sweep, until the block ends."""
    presence = everything.presence
    if presence is not None and everything.settings.redis_url is None and await presence.others():
        _log.warning("bus.redis_missing", reason="Others use this database: set REDIS_URL, or events come late.")
    await everything.gateways.jobs.start(everything.runs)
    tasks = [asyncio.create_task(_sweep_forever(everything)), asyncio.create_task(_keep_up_forever(everything))]
    if presence is not None:
        tasks += [asyncio.create_task(presence.beat_forever()), asyncio.create_task(presence.watch_forever())]
    try:
        yield
    finally:
        stopping = asyncio.create_task(_stop(everything, tasks))
        await asyncio.wait({stopping}, timeout=STOP_SECONDS)
        if stopping.done():
            stopping.result()
        else:
            _log.warning("stop.incomplete", after_seconds=STOP_SECONDS)


async def _stop(everything: Assembly, tasks: Collection[asyncio.Task[None]]) -> None:
    """End the tasks and the runs. May last for ever while the database is silent: a connection is not given back."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=TASK_SECONDS)
    await everything.gateways.jobs.stop()
    if everything.presence is not None:
        with suppress(*DATABASE_ERRORS):  # the others notice our silence
            await everything.presence.leave()


async def _keep_up_forever(everything: Assembly) -> None:
    while True:
        await everything.upkeep.round()
        await asyncio.sleep(UPKEEP_SECONDS)


async def _sweep_forever(everything: Assembly) -> None:
    while True:
        await everything.housekeeping.sweep()
        await asyncio.sleep(SWEEP_SECONDS)
