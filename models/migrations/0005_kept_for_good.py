"""Deleted rows, placeholders, what the link checker knows, and the indexes of the lists.

A deleted row stays for the ledger and for provenance; the lists leave it out, and so do their indexes.
"""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from models.ids import new_id
from models.link import LinkKind

DELETABLE = ("Photo", "LoraModel", "Generation")
LISTS = [
    ("photos", "owner_id, id"),
    ("lora_models", "owner_id, id"),
    ("generations", "owner_id, id"),
    ("generations", "owner_id, type, id"),
    ("generations", "owner_id, status, id"),
]
REMOVALS = ["photos", "lora_models", "generations"]


def _living(table: str, columns: str) -> tuple[str, str]:
    name = f"ix_{table}_living_{columns.replace(', ', '_')}"
    return name, f'INDEX "{name}" ON "{table}" ({columns}) WHERE deleted_at IS NULL'


def _unremoved(table: str) -> tuple[str, str]:
    name = f"ix_{table}_unremoved"
    return name, f'INDEX "{name}" ON "{table}" (id) WHERE deleted_at IS NOT NULL AND removed_at IS NULL'


INDEXES = dict(
    [
        (
            "uq_broken_links_kind_row_id",
            'UNIQUE INDEX "uq_broken_links_kind_row_id" ON "broken_links" (kind, row_id)',
        ),
        *(_living(table, columns) for table, columns in LISTS),
        *(_unremoved(table) for table in REMOVALS),
    ]
)


class Migration(migrations.Migration):
    dependencies = [("models", "0004_presets")]
    operations = [
        ops.CreateModel(
            name="LinkCursor",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=10)),
                ("last_id", fields.UUIDField(null=True)),
                ("checked_at", fields.DatetimeField(null=True)),
            ],
            options={"table": "link_cursors", "app": "models", "pk_attr": "id"},
            bases=["Model"],
        ),
        ops.CreateModel(
            name="BrokenLink",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                (
                    "kind",
                    fields.CharEnumField(
                        description="GENERATION: GENERATION\nWEIGHTS: WEIGHTS\nCONFIG: CONFIG\nPHOTO: PHOTO",
                        enum_type=LinkKind,
                        max_length=10,
                    ),
                ),
                ("row_id", fields.UUIDField()),
                ("location", fields.CharField(max_length=500)),
                ("reason", fields.CharField(max_length=500)),
                ("found_at", fields.DatetimeField()),
            ],
            options={"table": "broken_links", "app": "models", "pk_attr": "id"},
            bases=["Model"],
        ),
        ops.AddField(model_name="Generation", name="placeholder", field=fields.CharField(null=True, max_length=400)),
        *(
            ops.AddField(model_name=model, name=name, field=fields.DatetimeField(null=True))
            for model in DELETABLE
            for name in ("deleted_at", "removed_at")
        ),
        ops.RunSQL(
            [f"CREATE {index}" for index in INDEXES.values()],
            reverse_sql=[f'DROP INDEX "{name}"' for name in INDEXES],
        ),
    ]
