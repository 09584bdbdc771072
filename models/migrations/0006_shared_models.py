"""When a model's owner let others draw with it."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0005_kept_for_good")]

    initial = False

    operations = [
        ops.AddField(model_name="LoraModel", name="shared_at", field=fields.DatetimeField(null=True)),
    ]
