"""The promise behind which files are kept; `services.ports` has the others."""

from enum import StrEnum
from pathlib import Path
from typing import Protocol

from models.status import ImageFormat

VARIANT_SIDES = (64, 128, 256, 512, 1024, 1536)  # pixels; a store makes no other sizes


class AssetKind(StrEnum):
    """What a file is, which decides its folder and who may read its URL."""

    PHOTO = "photo"  # private: signed URL that expires
    IMAGE = "image"  # public and permanent
    WEIGHTS = "weights"  # private: signed URL that expires


class AssetStore(Protocol):
    """Keeps files for good. A location is opaque: only the store that returned it can read it."""

    async def put(self, source: Path, *, kind: AssetKind, name: str, content_type: str) -> str:
        """Keep a copy of `source` under a deterministic name and return its location.

        `name` has no folder and carries its extension (`lora_run1_0.png`). Putting the same name again replaces
        the file and returns the same address, so a repeated call is harmless.
        Raises `StoreUnavailable` when it may work later, `StoreRefused` when it will not.
        """

    def url(self, location: str) -> str:
        """The address to give to a client: permanent for IMAGE, signed and expiring for the other kinds."""

    def variant(self, location: str, *, width: int | None, height: int | None, format: ImageFormat | None) -> str:
        """The address of an IMAGE that fits into a box of `VARIANT_SIDES`, proportions kept, never enlarged.

        None leaves a side, or the format, as it is. The address is the same each time, and needs no signature.
        """

    async def exists(self, location: str) -> bool:
        """Whether the file is there. Raises `StoreUnavailable` when nobody knows."""

    async def tidy(self) -> int:
        """Remove what can be made again and takes more room than it may; how many files went."""

    async def fetch(self, location: str, to: Path) -> None:
        """Copy the file to a local path. Raises `AssetMissing` when it is gone."""

    async def delete(self, location: str) -> None:
        """Remove the file; deleting what is gone is not an error."""

    async def forget(self, kind: AssetKind, name: str) -> None:
        """Remove what a `put` of this name may have left, when its answer never came; nothing there is fine."""

    async def healthy(self) -> bool:
        """Whether the store can be used now."""


class StoreUnavailable(Exception):
    """The asset store did not work this time; trying again later may help."""


class StoreRefused(Exception):
    """The asset store refused the file or our credentials; trying again will not help."""


class StoreKeyRefused(StoreRefused):
    """The asset store refused our credentials: no file can be kept until the operator has put them right."""


class AssetMissing(Exception):
    """The asset store has no such file."""
