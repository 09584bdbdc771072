"""Trainings, their photos and their stored events."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.ids import new_id
from models.lora import LoraModel
from models.photo import Photo
from models.status import SubjectGender, TrainingQuality, TrainingStage, TrainingStatus
from models.user import User


class Training(Model):
    """One training run; `seq` is the number of its last event and guards every change against a second writer."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    owner_id: UUID
    owner: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT
    )
    model_id: UUID
    model: fields.OneToOneRelation[LoraModel] = fields.OneToOneField(
        "models.LoraModel", related_name=False, on_delete=fields.RESTRICT
    )
    base_model = fields.CharField(max_length=60)
    status = fields.CharEnumField(TrainingStatus, max_length=12, default=TrainingStatus.PENDING)
    stage = fields.CharEnumField(TrainingStage, max_length=20, null=True)
    percent = fields.FloatField(default=0.0)
    seq = fields.IntField(default=0)
    steps = fields.IntField()
    quality = fields.CharEnumField(TrainingQuality, max_length=10, null=True)
    is_style = fields.BooleanField(default=False)
    create_masks = fields.BooleanField(default=True)
    trigger_word = fields.CharField(max_length=100)
    gender = fields.CharEnumField(SubjectGender, max_length=10, null=True)
    instance_prompt = fields.CharField(max_length=300)
    class_prompt = fields.CharField(max_length=300, null=True)
    lora_rank = fields.IntField(null=True)
    learning_rate = fields.FloatField(null=True)
    batch_size = fields.IntField(null=True)
    images_data_url = fields.CharField(max_length=2000, null=True)
    archive_url = fields.CharField(max_length=2000, null=True)
    archive_sha256 = fields.CharField(max_length=64, null=True)
    retry_of = fields.UUIDField(null=True)
    idempotency_key = fields.CharField(max_length=255, null=True)
    input_hash = fields.CharField(max_length=64)
    credits = fields.IntField()
    credits_spent = fields.IntField()
    error_code = fields.CharField(max_length=40, null=True)
    error_message = fields.TextField(null=True)
    error_retryable = fields.BooleanField(default=False)
    simulated = fields.BooleanField(default=False)
    metadata = fields.JSONField[dict[str, object]](null=True)
    created_at = fields.DatetimeField()
    started_at = fields.DatetimeField(null=True)
    completed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "trainings"


class TrainingPhoto(Model):
    """Which photos a training uses, in order."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    training_id: UUID
    training: fields.ForeignKeyRelation[Training] = fields.ForeignKeyField(
        "models.Training", related_name=False, on_delete=fields.RESTRICT
    )
    photo_id: UUID
    photo: fields.ForeignKeyRelation[Photo] = fields.ForeignKeyField(
        "models.Photo", related_name=False, on_delete=fields.RESTRICT
    )
    position = fields.IntField()

    class Meta:
        table = "training_photos"


class TrainingEvent(Model):
    """One step of progress, numbered 1, 2, 3 per training and never changed."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    training_id: UUID
    training: fields.ForeignKeyRelation[Training] = fields.ForeignKeyField(
        "models.Training", related_name=False, on_delete=fields.RESTRICT
    )
    seq = fields.IntField()
    status = fields.CharEnumField(TrainingStatus, max_length=12)
    stage = fields.CharEnumField(TrainingStage, max_length=20, null=True)
    percent = fields.FloatField()
    stage_percent = fields.FloatField(null=True)
    step = fields.IntField(null=True)
    total_steps = fields.IntField(null=True)
    queue_position = fields.IntField(null=True)
    eta_seconds = fields.IntField(null=True)
    message = fields.CharField(max_length=500)
    at = fields.DatetimeField()

    class Meta:
        table = "training_events"
