"""Presets, and what a generation made after one remembers of it."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from models.generation_types import GenerationType
from models.ids import new_id

JSON = {"encoder": functools.partial(dumps, separators=(",", ":")), "decoder": loads}


class Migration(migrations.Migration):
    dependencies = [("models", "0003_webhooks_executors_retries")]
    operations = [
        ops.CreateModel(
            name="Preset",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ("key", fields.CharField(max_length=60, unique=True)),
                ("name", fields.CharField(max_length=100)),
                ("type", fields.CharEnumField(enum_type=GenerationType, max_length=20)),
                ("models", fields.JSONField(**JSON)),
                ("needs_photo", fields.BooleanField(default=False)),
                ("prompt", fields.TextField(unique=False)),
                ("negative_prompt", fields.TextField(null=True, unique=False)),
                ("description", fields.CharField(max_length=300)),
                ("enabled", fields.BooleanField(default=True)),
                ("position", fields.IntField(default=0)),
                ("created_at", fields.DatetimeField()),
            ],
            options={"table": "presets", "app": "models", "pk_attr": "id"},
            bases=["Model"],
        ),
        ops.AddField(model_name="Generation", name="preset_key", field=fields.CharField(null=True, max_length=60)),
        ops.AddField(model_name="Generation", name="models", field=fields.JSONField(null=True, **JSON)),
        ops.AddField(model_name="Generation", name="parameters", field=fields.JSONField(null=True, **JSON)),
        ops.AddField(model_name="Submission", name="error_type", field=fields.CharField(null=True, max_length=100)),
    ]
