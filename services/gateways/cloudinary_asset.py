"""The text by which a file at Cloudinary is found again."""

from dataclasses import dataclass

from services.ports import StoreRefused

LOCATION_CHARACTERS = 500
SEPARATOR = "|"  # in every location of this store and in none of the local one


@dataclass(frozen=True, kw_only=True)
class Asset:
    """What a location says: enough to find the file again whatever happens to our settings."""

    resource_type: str  # image or raw
    type: str  # upload is public, authenticated is private
    public_id: str
    format: str
    secure_url: str

    @classmethod
    def at(cls, location: str) -> "Asset":
        """Raises `StoreRefused` for what is not a location of this store."""
        parts = location.split(SEPARATOR, 4)
        if len(parts) != 5:
            raise StoreRefused("This is not a location of the Cloudinary store.")
        return cls(resource_type=parts[0], type=parts[1], public_id=parts[2], format=parts[3], secure_url=parts[4])

    @property
    def location(self) -> str:
        """The text that `at` reads."""
        return SEPARATOR.join([self.resource_type, self.type, self.public_id, self.format, self.secure_url])
