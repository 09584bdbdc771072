"""Row ids: UUID version 7 (RFC 9562), so that they sort by time of creation."""

from uuid import UUID

from uuid_utils import compat


def new_id() -> UUID:
    """A fresh id."""
    return compat.uuid7()
