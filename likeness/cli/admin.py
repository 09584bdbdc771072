"""Commands for operators: migrate, schema, token, credits."""

import asyncio
import sys
import time
from pathlib import Path

import click
import jwt

from likeness import db
from likeness.settings import SettingsError, load_settings
from likeness.wiring import wired
from schema.root import sdl
from services.audit import audit_all
from services.identity import LONGEST_SUBJECT, TOKEN, is_subject
from services.text import is_plain

LONGEST_NOTE = 200
SDL_FILE = Path(__file__).parent.parent.parent / "schema" / "schema.graphql"


@click.command()
def migrate() -> None:
    """Bring the database to the newest schema; safe to run any number of times."""
    settings = load_settings()
    asyncio.run(db.migrate(settings.database))
    click.echo("The database is up to date.")


@click.command()
@click.option("--check", is_flag=True, help="Fail when schema/schema.graphql differs from the code.")
@click.option("--write", is_flag=True, help="Write schema/schema.graphql.")
def schema(check: bool, write: bool) -> None:
    """Print the GraphQL schema."""
    text = sdl()
    if write:
        SDL_FILE.write_text(text)
    elif not check:
        click.echo(text, nl=False)
    elif SDL_FILE.read_text() != text:
        click.echo("schema/schema.graphql is not what the code says: run ./run schema --write", err=True)
        sys.exit(1)


def _sub(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """The `sub` of a token. Raises `click.BadParameter` for one that no server would take."""
    if not is_subject(f"{TOKEN}{value}"):
        longest = LONGEST_SUBJECT - len(TOKEN)
        raise click.BadParameter(f"must have 1 to {longest} characters, something visible and no control characters.")
    return value


@click.command()
@click.argument("subject", callback=_sub)
@click.option("--hours", default=24.0, show_default=True, help="How long the token is valid.")
def token(subject: str, hours: float) -> None:
    """Print a bearer token for SUBJECT, signed with JWT_SECRET."""
    settings = load_settings()
    if settings.jwt_secret is None:
        raise SettingsError("JWT_SECRET is not set, so there is nothing to sign a token with.")
    now = int(time.time())
    claims: dict[str, object] = {"sub": subject, "iat": now, "exp": now + int(hours * 3600)}
    claims |= {"iss": settings.jwt_issuer} if settings.jwt_issuer else {}
    claims |= {"aud": settings.jwt_audience} if settings.jwt_audience else {}
    click.echo(jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm="HS256"))


@click.group()
def credits() -> None:
    """Grant credits and prove the ledger."""


def _subject(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """A user's subject. Raises `click.BadParameter` for anything else."""
    if not is_subject(value):
        raise click.BadParameter("must be `local`, `jwt:<sub>` or `tg:<id>`.")
    return value


def _note(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """A note that the ledger can hold. Raises `click.BadParameter` for anything else."""
    if value and not is_plain(value, longest=LONGEST_NOTE):
        raise click.BadParameter(
            f"must have 1 to {LONGEST_NOTE} characters, something visible and no control characters."
        )
    return value


@credits.command()
@click.argument("subject", callback=_subject)
@click.argument("amount", type=click.IntRange(1, 10**9))
@click.option("--note", default="", callback=_note, help="Why, for the ledger (at most 200 characters).")
def grant(subject: str, amount: int, note: str) -> None:
    """Add AMOUNT credits to SUBJECT (`local`, `jwt:<sub>` or `tg:<id>`)."""
    asyncio.run(_grant(subject, amount, note))


async def _grant(subject: str, amount: int, note: str) -> None:
    settings = load_settings()
    await db.migrate(settings.database)
    async with wired(settings) as everything:
        user = await everything.services.identity.user(subject)
        await everything.services.credits.grant(user.id, amount, note=note)
        quota = await everything.services.credits.quota(user.id)
    click.echo(f"{subject} now has a balance of {quota.current_balance} credits.")


@credits.command("audit")
def prove() -> None:
    """Work every user's ledger out anew; exit code 1 when one is not what it should be."""
    if not asyncio.run(_audit()):
        sys.exit(1)


async def _audit() -> bool:
    """Print a line per user whose ledger is broken, and a summary; whether there was none."""
    settings = load_settings()
    await db.migrate(settings.database)
    users = entries = broken = 0
    async with db.connected(settings.database):
        async for subject, found in audit_all():
            name = subject or "A user that cannot be read"
            users, entries, broken = users + 1, entries + found.entries, broken + (not found.balanced)
            if found.broken_at is not None:
                click.echo(f"{name}: posting {found.broken_at} was changed or is missing.")
            elif not found.balanced:
                click.echo(f"{name}: an account is not what its entries say.")
    click.echo(f"{users} users, {entries} entries, {broken} broken.")
    return not broken
