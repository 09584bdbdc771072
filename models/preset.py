"""Presets: ready-made kinds of picture, which operators add and switch off."""

from tortoise import fields
from tortoise.models import Model

from models.generation_types import GenerationType
from models.ids import new_id


class Preset(Model):
    """A prompt and the models that are tried for it; `key` never changes, and no preset is ever deleted."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    key = fields.CharField(max_length=60, unique=True)
    name = fields.CharField(max_length=100)
    type = fields.CharEnumField(GenerationType, max_length=20)
    models = fields.JSONField[list[str]]()
    needs_photo = fields.BooleanField(default=False)
    prompt = fields.TextField()
    negative_prompt = fields.TextField(null=True)
    description = fields.CharField(max_length=300)
    enabled = fields.BooleanField(default=True)
    position = fields.IntField(default=0)
    created_at = fields.DatetimeField()

    class Meta:
        table = "presets"
