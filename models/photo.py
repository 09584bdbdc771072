"""Uploaded photos and the training archives packed from them."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.ids import new_id
from models.user import User


class Photo(Model):
    """One photo of its owner, kept re-encoded; `sha256` is of the kept file, `source_sha256` of the upload."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    owner_id: UUID
    owner: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT
    )
    filename = fields.CharField(max_length=255)
    content_type = fields.CharField(max_length=40)
    location = fields.CharField(max_length=500)
    bytes = fields.BigIntField()
    width = fields.IntField()
    height = fields.IntField()
    sha256 = fields.CharField(max_length=64)
    source_sha256 = fields.CharField(max_length=64)
    created_at = fields.DatetimeField()
    deleted_at = fields.DatetimeField(null=True)
    removed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "photos"


class TrainingArchive(Model):
    """A packed ZIP handed to the provider; the same photos (`content_key`) are packed and handed over once."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    owner_id: UUID
    owner: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT
    )
    content_key = fields.CharField(max_length=64)
    sha256 = fields.CharField(max_length=64)
    bytes = fields.BigIntField()
    url = fields.CharField(max_length=2000)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "training_archives"
