"""DATABASE_URL: what it may say, and how Tortoise is told the same."""

from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

SQLITE: Final = "sqlite://"
POSTGRES: Final = ("postgres://", "postgresql://")
POSTGRES_OPTIONS: Final = ("application_name", "host", "password", "port", "sslmode", "user")
SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SQLITE_PRAGMAS: Final = {"journal_mode": "WAL", "synchronous": "NORMAL", "busy_timeout": 30_000}


def checked_database_url(url: str) -> str:
    """The same address. Raises `ValueError` with what is wrong, without a part of the password."""
    if url.startswith(SQLITE):
        if url.removeprefix(SQLITE) in {"", ":memory:"} or {"?", "#"} & set(url):
            raise ValueError("must look like sqlite:///path/to/file, without ? and #")
    elif url.startswith(POSTGRES):
        _check_postgres(url)
    else:
        raise ValueError("must begin with postgres:// or sqlite://")
    return url


def sqlite_file(url: str) -> Path | None:
    """The file of a `sqlite://` address, taken as it is; None for PostgreSQL."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


def tortoise_connection(url: str, *, foreign_keys: bool) -> dict[str, Any]:
    """Tortoise's settings for a checked address: it would split a path at `?`, and does not know `sslmode`."""
    if url.startswith(SQLITE):
        pragmas = SQLITE_PRAGMAS | {"foreign_keys": "ON" if foreign_keys else "OFF"}
        return {"engine": "tortoise.backends.sqlite", "credentials": {"file_path": url.removeprefix(SQLITE)} | pragmas}
    parts = urlsplit(url)
    named = {"host": parts.hostname, "user": parts.username, "password": parts.password, "database": parts.path[1:]}
    credentials: dict[str, Any] = dict(parse_qsl(parts.query))
    credentials |= {name: unquote(value) for name, value in named.items() if value}
    if parts.port:
        credentials["port"] = parts.port
    if mode := credentials.pop("sslmode", None):
        credentials["ssl"] = mode
    return {"engine": "tortoise.backends.asyncpg", "credentials": credentials}


def _check_postgres(url: str) -> None:
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else [])
        is_whole = parts.port != 0 and 0 < int(options.get("port", 5432)) <= 65_535 and bool(parts.path[1:])
    except ValueError:
        is_whole = False
    if not is_whole or parts.fragment or parts.netloc.count("@") > 1:
        raise ValueError("must look like postgres://user:password@host:5432/name, with %-codes for signs like @ / ? #")
    if unknown := sorted(options.keys() - set(POSTGRES_OPTIONS)):
        raise ValueError(f"{unknown[0]} is none of {', '.join(POSTGRES_OPTIONS)}")
    if options.get("sslmode", SSL_MODES[0]) not in SSL_MODES:
        raise ValueError(f"sslmode must be one of {', '.join(SSL_MODES)}")
