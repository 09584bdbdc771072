"""Commands for presets: list them, add one, switch them off and on. The running server shows the change at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import click

from likeness import db
from likeness.settings import load_settings
from likeness.wiring import wired
from models.errors import LikenessError
from models.generation_types import GenerationType
from services.presets import PresetService


@click.group()
def presets() -> None:
    """List, add and switch off the ready-made kinds of picture."""


@presets.command("list")
def show() -> None:
    """List every preset, those that are switched off too."""
    asyncio.run(_with_presets(_list))


@presets.command()
@click.argument("key")
@click.option("--name", required=True, help="Its name, for people.")
@click.option("--prompt", required=True, help="What to draw; {trigger} stands for trained models, {prompt} for words.")
@click.option("--description", required=True, help="What it looks like, in one sentence.")
@click.option("--type", "type", type=click.Choice(list(GenerationType)), default="PRESET", show_default=True)
@click.option("--model", "models", multiple=True, help="A model to try; several in order. The type's when absent.")
@click.option("--needs-photo", is_flag=True, help="It redraws a photo.")
@click.option("--negative-prompt", help="What must not be drawn, for models that read it.")
def add(key: str, type: str, models: tuple[str, ...], needs_photo: bool, **facts: Any) -> None:
    """Add the preset KEY; keys never change their meaning and are never given again."""
    kind = GenerationType(type)
    facts |= {"type": kind, "models": list(models or kind.kind.models)}
    facts["needs_photo"] = needs_photo or kind.kind.needs_photo

    async def change(service: PresetService) -> None:
        await service.add(key, **facts)

    asyncio.run(_with_presets(change))
    click.echo(f"{key} is offered now.")


@presets.command()
@click.argument("key")
def disable(key: str) -> None:
    """Offer the preset KEY no longer; pictures made after it stay."""
    _switch(key, on=False)


@presets.command()
@click.argument("key")
def enable(key: str) -> None:
    """Offer the preset KEY again."""
    _switch(key, on=True)


def _switch(key: str, *, on: bool) -> None:
    async def change(service: PresetService) -> None:
        await service.switch(key, on=on)

    asyncio.run(_with_presets(change))
    click.echo(f"{key} is {'offered now' if on else 'offered no longer'}.")


async def _list(service: PresetService) -> None:
    for preset in await service.every():
        state = "on " if preset.enabled else "off"
        photo = "photo" if preset.needs_photo else ""
        click.echo(f"{state} {preset.key:24} {preset.type:16} {photo:6} {', '.join(preset.models)}")


async def _with_presets(work: Callable[[PresetService], Awaitable[None]]) -> None:
    """Do something with the presets of the configured database; a refusal is one sentence and exit code 1."""
    settings = load_settings()
    await db.migrate(settings.database)
    async with wired(settings) as everything:
        try:
            await work(everything.services.presets)
        except LikenessError as error:
            raise click.ClickException(error.message) from None
