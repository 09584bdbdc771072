"""Where a generated picture can be seen, in the size and format that is wanted."""

from models.errors import InvalidInput
from models.generation import Generation
from models.status import ImageFormat
from services.asset_store import VARIANT_SIDES, AssetStore

THUMBNAIL = 256  # pixels


def image_url(store: AssetStore, row: Generation) -> str | None:
    """Our copy, or the provider's picture while ours is still being made; None without either."""
    if row.deleted_at is not None:
        return None
    if row.location:
        return store.url(row.location)
    return None if row.status.is_final else row.original_fal_url


def variant_url(
    store: AssetStore, row: Generation, *, width: int | None, height: int | None, format: ImageFormat | None
) -> str | None:
    """A copy that fits into the box; the picture as it is while there is none of our own. Raises `InvalidInput`."""
    box = {"width": _side("width", width), "height": _side("height", height)}
    if not row.location or row.deleted_at is not None or (not any(box.values()) and format is None):
        return image_url(store, row)
    return store.variant(row.location, width=box["width"], height=box["height"], format=format)


def thumbnail_url(store: AssetStore, row: Generation) -> str | None:
    """A small WebP for galleries."""
    return variant_url(store, row, width=THUMBNAIL, height=THUMBNAIL, format=ImageFormat.WEBP)


def _side(name: str, pixels: int | None) -> int | None:
    """The smallest side that is made and not smaller than wanted, at most the largest."""
    if pixels is None:
        return None
    if pixels < 1:
        raise InvalidInput(reason=f"{name} must be 1 or more.", path=(name,))
    return next((side for side in VARIANT_SIDES if side >= pixels), VARIANT_SIDES[-1])
