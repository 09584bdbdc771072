"""Generated pictures, their attempts and their stored events."""

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.ids import new_id
from models.lora import LoraModel
from models.photo import Photo
from models.status import GenerationStatus, GenerationType
from models.user import User


class Generation(Model):
    """One picture of 2 credits; the images of one request share `run_id` and differ in `position`."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    owner_id: UUID
    owner: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT
    )
    run_id = fields.CharField(max_length=255)
    position = fields.IntField()
    input_hash = fields.CharField(max_length=64)
    type = fields.CharEnumField(GenerationType, max_length=20)
    status = fields.CharEnumField(GenerationStatus, max_length=12, default=GenerationStatus.PENDING)
    seq = fields.IntField(default=0)
    prompt = fields.TextField(null=True)
    final_prompt = fields.TextField(null=True)
    source_photo_id: UUID | None
    source_photo: fields.ForeignKeyNullableRelation[Photo] = fields.ForeignKeyField(
        "models.Photo", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    preset_key = fields.CharField(max_length=60, null=True)
    models = fields.JSONField[list[str]](null=True)  # public names, in the order they are tried
    parameters = fields.JSONField[dict[str, Any]](null=True)  # steps, guidance, strength, format, negative_prompt
    image_size = fields.CharField(max_length=20)
    seed = fields.CharField(max_length=20, null=True)
    asset_name = fields.CharField(max_length=200, unique=True)
    location = fields.CharField(max_length=500, null=True)
    original_fal_url = fields.CharField(max_length=2000, null=True)
    content_sha256 = fields.CharField(max_length=64, null=True)
    placeholder = fields.CharField(max_length=400, null=True)
    permanent = fields.BooleanField(default=False)
    fal_job_id = fields.CharField(max_length=100, null=True)
    model = fields.CharField(max_length=100, null=True)
    width = fields.IntField(null=True)
    height = fields.IntField(null=True)
    credits = fields.IntField()
    credits_spent = fields.IntField()
    error_code = fields.CharField(max_length=40, null=True)
    error_message = fields.TextField(null=True)
    error_retryable = fields.BooleanField(default=False)
    simulated = fields.BooleanField(default=False)
    created_at = fields.DatetimeField()
    completed_at = fields.DatetimeField(null=True)
    deleted_at = fields.DatetimeField(null=True)
    removed_at = fields.DatetimeField(null=True)  # its file went after the row was marked deleted

    class Meta:
        table = "generations"


class GenerationLora(Model):
    """Which models a generation uses, in order, and how strongly (0 to 4)."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    generation_id: UUID
    generation: fields.ForeignKeyRelation[Generation] = fields.ForeignKeyField(
        "models.Generation", related_name=False, on_delete=fields.RESTRICT
    )
    model_id: UUID
    model: fields.ForeignKeyRelation[LoraModel] = fields.ForeignKeyField(
        "models.LoraModel", related_name=False, on_delete=fields.RESTRICT
    )
    scale = fields.FloatField(default=1.0)
    position = fields.IntField()

    class Meta:
        table = "generation_loras"


class GenerationEvent(Model):
    """One step of progress, numbered 1, 2, 3 per generation and never changed."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    generation_id: UUID
    generation: fields.ForeignKeyRelation[Generation] = fields.ForeignKeyField(
        "models.Generation", related_name=False, on_delete=fields.RESTRICT
    )
    seq = fields.IntField()
    status = fields.CharEnumField(GenerationStatus, max_length=12)
    queue_position = fields.IntField(null=True)
    message = fields.CharField(max_length=500)
    at = fields.DatetimeField()

    class Meta:
        table = "generation_events"
