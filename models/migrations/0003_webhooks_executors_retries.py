"""The inbox of webhooks, the processes that work, and retries of trainings."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from models.ids import new_id

INDEXES = {
    "uq_trainings_retry_of": 'UNIQUE INDEX "uq_trainings_retry_of" ON "trainings" (retry_of)',
    "uq_inbox_messages_source_external_id": (
        'UNIQUE INDEX "uq_inbox_messages_source_external_id" ON "inbox_messages" (source, external_id)'
    ),
    "ix_inbox_messages_handled_at": (
        'INDEX "ix_inbox_messages_handled_at" ON "inbox_messages" (handled_at, received_at)'
    ),
}


class Migration(migrations.Migration):
    dependencies = [("models", "0002_constraints")]
    operations = [
        ops.CreateModel(
            name="InboxMessage",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ("source", fields.CharField(max_length=20)),
                ("external_id", fields.CharField(max_length=100)),
                ("submission_id", fields.UUIDField(null=True)),
                (
                    "body",
                    fields.JSONField(encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads),
                ),
                ("received_at", fields.DatetimeField()),
                ("handled_at", fields.DatetimeField(null=True)),
            ],
            options={"table": "inbox_messages", "app": "models", "pk_attr": "id"},
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Executor",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=120)),
                ("beat_at", fields.DatetimeField()),
            ],
            options={"table": "executors", "app": "models", "pk_attr": "id"},
            bases=["Model"],
        ),
        ops.AddField(model_name="Training", name="archive_url", field=fields.CharField(null=True, max_length=2000)),
        ops.AddField(model_name="Training", name="retry_of", field=fields.UUIDField(null=True)),
        ops.AddField(model_name="Submission", name="lost", field=fields.BooleanField(default=False, db_default=False)),
        ops.RunSQL(
            [f"CREATE {index}" for index in INDEXES.values()],
            reverse_sql=[f'DROP INDEX "{name}"' for name in INDEXES],
        ),
    ]
