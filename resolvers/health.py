"""What works now."""

from schema.context import Info
from schema.types.health import Health


async def report(info: Info) -> Health:
    """Ask every part."""
    return Health.of(await info.context.services.health.report())
