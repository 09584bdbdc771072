"""Commands that run until they are stopped: serve, worker, sandbox."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
import uvicorn

from likeness.app import create_app, working
from likeness.data_dir import check_runs_file, prepare_data_dir
from likeness.db import DatabaseUnusable, connected, migrate
from likeness.http.limits import UVICORN_WS
from likeness.sandbox.app import create_sandbox
from likeness.settings import Settings, SettingsError, load_settings
from likeness.single import only_process
from likeness.version import version
from likeness.wiring import check_kept_files, wired

GRACE_SECONDS = 10
STOP_SECONDS = 25  # containers are commonly killed after 30


class Announcing(uvicorn.Server):
    """A server that says where it listens once it does, and that a signal ends in order."""

    def __init__(self, config: uvicorn.Config, line: str) -> None:
        super().__init__(config)
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            click.echo(self._line)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, and leave the exit code to us: uvicorn would send itself the signal again in the end."""
        if not self.should_exit:
            stop_in_time()
        self.force_exit = self.force_exit or (self.should_exit and sig == signal.SIGINT)
        self.should_exit = True


@click.command()
def serve() -> None:
    """Serve the API, and work on trainings and generations in the same process."""
    settings = load_settings()
    provider = "simulated by the sandbox" if settings.simulated else "fal.ai"
    line = f"likeness {version()} at {settings.base_url}/graphql (provider: {provider})"
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        **UVICORN_WS,
    )
    with only_process(settings):
        prepare_data_dir(settings)
        check_runs_file(settings)
        check_address(settings)
        prepare_database(settings)
        server = Announcing(config, line)
        asyncio.run(_serve(server))


async def _serve(server: uvicorn.Server) -> NoReturn:
    await server.serve()
    leave(0 if server.started else 3)


def prepare_database(settings: Settings) -> None:
    """Migrate. Raises `SettingsError` when the database, or the store of the files it names, cannot be used."""
    try:
        asyncio.run(_prepare(settings))
    except DatabaseUnusable as error:
        raise SettingsError(f"{settings.database_setting}: the database cannot be used ({error}).") from error


async def _prepare(settings: Settings) -> None:
    await migrate(settings.database)
    async with connected(settings.database):
        await check_kept_files(settings)


def stop_in_time() -> None:
    """End the process in 25 seconds at the latest; what is unfinished goes on at a next start."""
    signal.signal(signal.SIGALRM, _too_late)
    signal.alarm(STOP_SECONDS)


def _too_late(sig: int, frame: FrameType | None) -> NoReturn:
    click.echo(f"likeness: not everything could be closed in {STOP_SECONDS} seconds.", err=True)
    leave(1)


def leave(code: int) -> NoReturn:
    """End the process after its shutdown: a task or thread may still wait for a database that is away.

    For coroutines: `asyncio.run` would wait for them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def check_address(settings: Settings) -> None:
    """Raise `SettingsError` when the address cannot be listened on."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with contextlib.closing(socket.socket(family)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            reason = f"HOST, PORT: cannot listen on {settings.host}:{settings.port} ({error.strerror})."
            raise SettingsError(reason) from None


@click.command()
def worker() -> None:
    """Work on trainings and generations without serving the API (needs PostgreSQL)."""
    settings = load_settings()
    if settings.is_sqlite:
        raise SettingsError("A worker needs DATABASE_URL=postgres://...; with SQLite, serve does all.")
    prepare_database(settings)
    asyncio.run(_work(settings))


async def _work(settings: Settings) -> NoReturn:
    stop = asyncio.Event()

    def end() -> None:
        if not stop.is_set():
            stop_in_time()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    async with wired(settings) as everything, working(everything):
        click.echo(f"likeness {version()} worker ready")
        await stop.wait()
    leave(0)


@click.command()
@click.option("--port", default=4000, show_default=True, help="Port to listen on, on this machine only.")
def sandbox(port: int) -> None:
    """Serve the sandbox alone: fal's protocol for other clients, everything simulated."""
    settings = load_settings()
    prepare_data_dir(settings)
    base = f"http://127.0.0.1:{port}"
    folder: Path = settings.data_dir / "sandbox"
    app = create_sandbox(folder, speed=settings.sandbox_speed, public_base=base)
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False)
    asyncio.run(Announcing(config, f"likeness sandbox at {base} (simulated)").serve())
