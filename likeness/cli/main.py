"""The command line: each command calls a function; errors are one sentence and an exit code."""

import sys

import click

from likeness.cli import admin, demo, doctor, generate, presets, serve, train
from likeness.db import DatabaseUnusable
from likeness.observability import configure_logging
from likeness.settings import SettingsError
from likeness.version import version


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version(), prog_name="likeness")
def cli() -> None:
    """Train a personal image model from photos and generate pictures with it."""
    configure_logging()


for command in (
    serve.serve,
    serve.worker,
    serve.sandbox,
    demo.command,
    train.command,
    generate.command,
    doctor.command,
    admin.migrate,
    admin.schema,
    admin.token,
    admin.credits,
    presets.presets,
):
    cli.add_command(command)


def main() -> None:
    """Run a command; exit code 2 for a setting that is wrong."""
    try:
        cli()
    except SettingsError as error:
        click.echo(f"likeness: {error}", err=True)
        sys.exit(2)
    except DatabaseUnusable as error:
        click.echo(f"likeness: the database cannot be used ({error}).", err=True)
        sys.exit(2)
