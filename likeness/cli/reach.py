"""How the commands that use the public API reach a server, and how they end."""

import asyncio
import ipaddress
from collections.abc import Callable, Coroutine
from enum import IntEnum
from typing import Any, TypeVar

import click
import stamina.instrumentation

from likeness.client.errors import ClientError, ServerUnreachable
from likeness.settings import Settings, SettingsError, load_settings

Command = TypeVar("Command", bound=Callable[..., Any])


class Exit(IntEnum):
    """Exit codes of the commands."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3


class Failure(click.ClickException):
    """Ends a command with one sentence on stderr and an exit code."""

    def __init__(self, message: str, *, exit_code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance


def server_options(command: Command) -> Command:
    """Adds --server and --token."""
    token = click.option("--token", metavar="TOKEN", help="The token to sign in with, where the server asks for one.")
    server = click.option("--server", metavar="URL", help="The server's address; default: that of HOST and PORT.")
    return server(token(command))


def settings() -> Settings:
    """The settings. Raises `Failure` when one of them is wrong."""
    try:
        return load_settings()
    except SettingsError as error:
        raise Failure(str(error), exit_code=Exit.USAGE) from error


def run(main: Coroutine[Any, Any, None], *, hint: str = "") -> None:
    """Run a command to its end; `ClientError`s become one sentence, `hint` follows when nothing answers."""
    # stamina's own hook prints a log line for each retry, with the arguments of the call, into the progress bars.
    stamina.instrumentation.set_on_retry_hooks([])
    try:
        asyncio.run(main)
    except ServerUnreachable as error:
        raise Failure(f"{error.message} {hint}".strip(), exit_code=Exit.UNREACHABLE) from error
    except ClientError as error:
        raise Failure(error.message) from error


def server_address(settings: Settings) -> str:
    """Where a server with these settings is reached from this machine."""
    host = settings.host.strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{settings.port}"
    if address.is_unspecified:
        address = ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{shown}:{settings.port}"


def check_ended_well(job: dict[str, Any], *, what: str) -> None:
    """Raise `ClientError` for a training or generation that did not end COMPLETED."""
    if job["status"] == "COMPLETED":
        return
    error = job["error"] or {"message": f"it is {job['status']}.", "code": job["status"]}
    raise ClientError(f"The {what} did not complete: {error['message']}", code=error["code"])
