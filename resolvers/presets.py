"""Presets and packs: list."""

from schema.context import Info
from schema.types.arguments import GlobalId
from schema.types.node import read_key
from schema.types.preset import Pack, Preset
from services.packs import offered


async def browse(info: Info) -> list[Preset]:
    """Those that are switched on."""
    return [Preset.of(row) for row in await info.context.services.presets.browse()]


async def get(info: Info, id: GlobalId) -> Preset | None:
    """One of them."""
    return Preset.of_maybe(await info.context.services.presets.get(read_key(id, "Preset")))


async def packs(info: Info) -> list[Pack]:
    """Every pack, with those of its presets that are switched on."""
    return [Pack.of_data(pack, rows) for pack, rows in offered(await info.context.services.presets.browse())]
