"""Who uses the service."""

from tortoise import fields
from tortoise.models import Model

from models.ids import new_id


class User(Model):
    """One person, known by the subject of a token (`jwt:<sub>`), a Telegram id (`tg:<id>`) or as `local`."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    subject = fields.CharField(max_length=300, unique=True)
    telegram_id = fields.CharField(max_length=32, null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "users"
