"""`doctor`: what is on, what is simulated and what is missing."""

import asyncio
import importlib.util
import os

import click
from rich.console import Console
from rich.table import Table

from likeness.db import migrate
from likeness.settings import RETIRED, Settings, load_settings
from likeness.version import version
from likeness.wiring import check_kept_files, wired
from services.health import HealthReport


@click.command("doctor")
@click.option("--ask/--no-ask", default=True, help="Whether to ask the database, the provider and the asset store.")
def command(ask: bool) -> None:
    """Say what is on, what is simulated and what is missing."""
    settings = load_settings()
    table = Table("part", "what", "state", title=f"likeness {version()}", title_justify="left")
    for row in _parts(settings):
        table.add_row(*row)
    console = Console()
    console.print(table)
    for name in RETIRED:
        if name in os.environ:
            console.print(f"{name} is set and not used: {RETIRED[name]}")
    if ask:
        asyncio.run(_ask(console, settings))


def _parts(settings: Settings) -> list[tuple[str, str, str]]:
    folder = f"in {settings.data_dir}"
    heic = importlib.util.find_spec("pi_heif") is not None
    database = ("SQLite", folder) if settings.is_sqlite else ("PostgreSQL", "on")
    bus = ("Redis", "on") if settings.redis_url else ("this process", "one process only: set REDIS_URL for more")
    store = ("Cloudinary", "on") if settings.cloudinary else ("local files", folder)
    return [
        ("provider", "sandbox" if settings.simulated else "fal.ai", _provider_state(settings)),
        ("database", *database),
        ("event bus", *bus),
        ("asset store", *store),
        ("sign-in", _sign_in(settings), "on" if settings.signs_in else "development mode, this machine only"),
        ("public address", settings.public_url or "none", "on" if settings.public_url else "off: set PUBLIC_URL"),
        ("HEIC photos", "pi-heif", "on" if heic else "off: install the extra `heic`"),
    ]


def _provider_state(settings: Settings) -> str:
    if settings.simulated:
        return f"simulated, speed {settings.sandbox_speed:g} (set FAL_KEY for the real one)"
    return "on" if settings.fal_key else "missing: FAL_KEY"


def _sign_in(settings: Settings) -> str:
    names = {"JWT secret": settings.jwt_secret, "JWKS": settings.jwt_jwks_url, "Telegram": settings.telegram_bot_token}
    return ", ".join(name for name, value in names.items() if value) or "none"


async def _ask(console: Console, settings: Settings) -> None:
    await migrate(settings.database)
    async with wired(settings) as everything:
        _print_answers(console, await everything.services.health.report())
        if everything.presence and settings.redis_url is None and (count := await everything.presence.others()) > 1:
            console.print(f"event bus: {count} processes share this database: set REDIS_URL, or events come late")
        await check_kept_files(settings)


def _print_answers(console: Console, report: HealthReport) -> None:
    answers = {"database": report.database, "asset store": report.storage, "provider": report.provider}
    for part, works in answers.items():
        console.print(f"{part}: {'answers' if works else 'does not answer'}")
    if report.broken_links:
        console.print(f"broken links: {report.broken_links} kept files are gone from the asset store")
