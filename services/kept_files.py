"""Where the files lie that the rows name."""

from services.removal import FILES


async def any_location_contains(text: str) -> bool:
    """Whether `text` is in the location of any file that has not been removed."""
    for model, columns in FILES:
        for column in columns:
            if await model.filter(removed_at=None, **{f"{column}__contains": text}).exists():
                return True
    return False
