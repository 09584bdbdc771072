"""Trained models."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.ids import new_id
from models.status import TrainingStatus
from models.user import User


class LoraModel(Model):
    """A personal model; its status is that of its training, written in the same transaction."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    owner_id: UUID
    owner: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT
    )
    name = fields.CharField(max_length=100)
    trigger_word = fields.CharField(max_length=100)
    base_model = fields.CharField(max_length=60)
    status = fields.CharEnumField(TrainingStatus, max_length=12, default=TrainingStatus.PENDING)
    weights_location = fields.CharField(max_length=500, null=True)
    weights_sha256 = fields.CharField(max_length=64, null=True)
    weights_bytes = fields.BigIntField(null=True)
    provider_weights_url = fields.CharField(max_length=2000, null=True)
    config_location = fields.CharField(max_length=500, null=True)
    provider_config_url = fields.CharField(max_length=2000, null=True)
    created_at = fields.DatetimeField()
    shared_at = fields.DatetimeField(null=True)
    deleted_at = fields.DatetimeField(null=True)
    removed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "lora_models"
