"""The person who asks, and what they may spend."""

from schema.context import Info
from schema.types.credits import Quota
from schema.types.viewer import Viewer


async def get(info: Info) -> Viewer:
    """Who is signed in."""
    return Viewer.of(info.context.viewer)


async def quota(info: Info) -> Quota:
    """What the viewer may spend."""
    return Quota.of(await info.context.services.credits.quota(info.context.viewer.id))
