"""What the outside has told us: kept once, answered at once, worked later."""

from tortoise import fields
from tortoise.models import Model

from models.ids import new_id


class InboxMessage(Model):
    """One delivery, unique by source and its own id; `handled_at` is set when its work is done."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    source = fields.CharField(max_length=20)
    external_id = fields.CharField(max_length=100)
    submission_id = fields.UUIDField(null=True)
    body = fields.JSONField[dict[str, object]]()
    received_at = fields.DatetimeField()
    handled_at = fields.DatetimeField(null=True)

    class Meta:
        table = "inbox_messages"
