"""The command line: each command calls a function; errors are one sentence and an exit code."""

import importlib
import sys
from typing import Final

import click

from likeness.db import DatabaseUnusable
from likeness.observability import configure_logging
from likeness.settings import SettingsError
from likeness.version import version

# The module and the name of each. A client's command need not wait until a whole server is imported.
COMMANDS: Final = {
    "serve": ("serve", "serve"),
    "worker": ("serve", "worker"),
    "sandbox": ("serve", "sandbox"),
    "demo": ("demo", "command"),
    "train": ("train", "command"),
    "generate": ("generate", "command"),
    "doctor": ("doctor", "command"),
    "migrate": ("admin", "migrate"),
    "schema": ("admin", "schema"),
    "token": ("admin", "token"),
    "credits": ("admin", "credits"),
    "presets": ("presets", "presets"),
}


class Commands(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"likeness.cli.{module}"), name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version(), prog_name="likeness")
def cli() -> None:
    """Train a personal image model from photos and generate pictures with it."""
    configure_logging()


def main() -> None:
    """Run a command; exit code 2 for a setting that is wrong."""
    try:
        cli()
    except SettingsError as error:
        click.echo(f"likeness: {error}", err=True)
        sys.exit(2)
    except DatabaseUnusable as error:
        click.echo(f"likeness: DATABASE_URL, DATA_DIR: the database cannot be used ({error}).", err=True)
        sys.exit(2)
