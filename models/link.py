"""What the link checker knows: how far it is, and which kept files are gone."""

from enum import StrEnum

from tortoise import fields
from tortoise.models import Model

from models.ids import new_id


class LinkKind(StrEnum):
    """Which column of which row names the file."""

    GENERATION = "GENERATION"
    WEIGHTS = "WEIGHTS"
    CONFIG = "CONFIG"
    PHOTO = "PHOTO"


class LinkCursor(Model):
    """The last row of a kind that was looked at, and when; without an id the walk begins anew."""

    id = fields.CharField(primary_key=True, max_length=10)  # a LinkKind
    last_id = fields.UUIDField(null=True)
    checked_at = fields.DatetimeField(null=True)

    class Meta:
        table = "link_cursors"


class BrokenLink(Model):
    """A kept file that the store no longer has and that could not be repaired yet."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    kind = fields.CharEnumField(LinkKind, max_length=10)
    row_id = fields.UUIDField()
    location = fields.CharField(max_length=500)
    reason = fields.CharField(max_length=500)
    found_at = fields.DatetimeField()  # the last time

    class Meta:
        table = "broken_links"
