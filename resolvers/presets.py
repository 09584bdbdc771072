"""Presets: list."""

from schema.types.preset import Preset


async def browse() -> list[Preset]:
    """None is offered yet."""
    return []
