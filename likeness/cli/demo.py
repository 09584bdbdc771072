"""`demo`: the whole product once, on a server of its own: photos in, a trained model and a kept picture out."""

import asyncio
import os
import secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

import click
from dotenv import dotenv_values
from rich.console import Console

from likeness.cli.child_server import running_server
from likeness.cli.generate import follow_generations
from likeness.cli.reach import check_ended_well, run, settings
from likeness.cli.train import follow_training
from likeness.client.api import Client
from likeness.sample_photos import draw_sample_photos

NAME: Final = "Sample Portrait"
PROMPT: Final = "portrait in a sunlit garden, soft light"
# The demo signs nobody in, and lets nobody but this machine reach its server.
SIGN_IN: Final = ("JWT_SECRET", "JWT_JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE", "TELEGRAM_BOT_TOKEN")
NOT_FOR_THE_DEMO: Final = frozenset({"PUBLIC_URL", *SIGN_IN})
KILLED_BY: Final = 128


@click.command("demo")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True, metavar="N",
              help="How many times faster than real the simulated provider works.")  # fmt: skip
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Default: the setting DATA_DIR.")
@click.option("--keep", is_flag=True, help="Keep the server running afterwards, until Ctrl-C.")
def command(speed: float, data_dir: Path | None, keep: bool) -> None:
    """Train a model on sample photos and draw a picture with it, on a server started for this."""
    folder = (data_dir or settings().data_dir).expanduser().resolve()
    try:
        run(_demo(folder, speed=speed, keep=keep))
    except asyncio.CancelledError:
        raise SystemExit(KILLED_BY + signal.SIGTERM) from None


async def _demo(folder: Path, *, speed: float, keep: bool) -> None:
    _stop_on_sigterm()
    times: dict[str, float] = {}
    begin = perf_counter()
    print(f"Starting a server on the data in {folder}", flush=True)
    # What .env says is passed on as variables: the server is started elsewhere, where no .env can sign the demo out.
    stored = {name: value for name, value in dotenv_values(".env").items() if value}
    environ = demo_environ(stored | dict(os.environ), data_dir=folder, speed=speed)
    async with running_server(environ=environ, log=folder / "demo" / "server.log") as server:
        times["server"] = perf_counter() - begin
        # A user of its own: the demo can be repeated at will and leaves the local user's credits alone.
        user = {"x-telegram-user-id": str(secrets.randbelow(10**15))}
        async with Client(server.url, headers=user) as client:
            picture = await server.during(_main_job(client, folder / "demo", times))
        print("Times: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items()))
        if keep:
            print(f"The server stays at {server.url} until Ctrl-C; this user's header is {user}")
        print(picture, flush=True)
        if keep:
            await server.during(asyncio.Event().wait())


async def _main_job(client: Client, folder: Path, times: dict[str, float]) -> Path:
    """Photos, training, picture; the file of the picture, and the seconds of each phase in `times`."""
    console = Console()
    print(_provider_sentence(await client.health()), flush=True)
    with _timed(times, "sample photos"):
        files = await asyncio.to_thread(draw_sample_photos, folder / "photos")
    with _timed(times, "upload"):
        photos = await client.upload_photos(files)
    print(f"Uploaded {len(photos)} sample photos", flush=True)
    with _timed(times, "training"):
        started = await client.start_training(NAME, [photo["id"] for photo in photos])
        training = await follow_training(client, started["id"], console)
    print(f"Trained {training['model']['name']}, trigger word {training['triggerWord']}", flush=True)
    with _timed(times, "picture"):
        asked = await client.generate(PROMPT, training["model"]["id"])
        generation = (await follow_generations(client, [asked[0]["id"]], console))[0]
        check_ended_well(generation, what="generation")
        picture = await client.download(generation["imageUrl"], folder / _file_name(generation["imageUrl"]))
    print(f"Picture kept at {generation['imageUrl']}", flush=True)
    return picture


def demo_environ(environ: Mapping[str, str], *, data_dir: Path, speed: float) -> dict[str, str]:
    """The server's environment: ours, without sign-in and without a public address.

    The provider is asked every second unless FAL_POLL_SECONDS is set: a fast sandbox would be done between two looks.
    """
    kept = {name: value for name, value in environ.items() if name.upper() not in NOT_FOR_THE_DEMO}
    return {"FAL_POLL_SECONDS": "1"} | kept | {"DATA_DIR": str(data_dir), "SANDBOX_SPEED": f"{speed:g}"}


def _provider_sentence(health: dict[str, Any]) -> str:
    if health["simulated"]:
        return "Provider: SIMULATED by the built-in sandbox (no FAL_KEY is set); nothing is paid"
    return "Provider: REAL, with the FAL_KEY that is set; the training and the picture are paid"


def _file_name(url: str) -> str:
    return f"picture-{datetime.now(UTC):%Y%m%d-%H%M%S}{PurePosixPath(urlsplit(url).path).suffix or '.png'}"


def _stop_on_sigterm() -> None:
    """SIGTERM and a closed terminal end the demo like Ctrl-C does, so that its server never stays behind."""
    task = asyncio.current_task()
    assert task is not None
    for name in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, task.cancel)


@contextmanager
def _timed(times: dict[str, float], name: str) -> Iterator[None]:
    begin = perf_counter()
    yield
    times[name] = perf_counter() - begin
