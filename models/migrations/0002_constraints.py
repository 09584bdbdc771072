"""Checks, uniqueness and indexes, which CreateModel does not make (Tortoise 1.1.9).

The checks come first: SQLite rebuilds a table for each of them and drops its indexes, and the uniqueness of a
one-to-one key with them. Plain columns declared unique stay so.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint

CHECKS = [
    ("LedgerAccount", "ledger_accounts_not_negative", "balance >= 0 OR kind = 'ISSUED'"),
    ("LedgerPosting", "ledger_postings_slot", "(job_id IS NULL) = (slot IS NULL)"),
    ("Training", "trainings_percent", "percent >= 0 AND percent <= 100"),
    ("Training", "trainings_hundred", "percent < 100 OR status = 'COMPLETED'"),
    ("Training", "trainings_steps", "steps >= 1 AND steps <= 10000"),
    ("Training", "trainings_credits", "credits >= 0 AND credits_spent >= 0"),
    ("TrainingEvent", "training_events_seq", "seq >= 1"),
    ("Generation", "generations_credits", "credits >= 0 AND credits_spent >= 0"),
    ("Generation", "generations_kept", "status <> 'COMPLETED' OR location IS NOT NULL"),
    ("GenerationLora", "generation_loras_scale", "scale >= 0 AND scale <= 4"),
    ("GenerationEvent", "generation_events_seq", "seq >= 1"),
]
UNIQUE = [
    ("photos", "owner_id, source_sha256"),
    ("training_archives", "owner_id, content_key"),
    ("trainings", "model_id"),
    ("trainings", "owner_id, idempotency_key"),
    ("training_photos", "training_id, position"),
    ("training_photos", "training_id, photo_id"),
    ("training_events", "training_id, seq"),
    ("generations", "owner_id, run_id, position"),
    ("generation_loras", "generation_id, position"),
    ("generation_events", "generation_id, seq"),
    ("submissions", "job_id, attempt"),
    ("ledger_postings", "owner_id, seq"),
    ("ledger_postings", "job_id, slot"),
]
INDEXES = [
    ("photos", "owner_id, id"),
    ("trainings", "owner_id, id"),
    ("trainings", "status"),
    ("lora_models", "owner_id, id"),
    ("generations", "owner_id, id"),
    ("generations", "status"),
    ("generation_loras", "model_id"),
    ("submissions", "state"),
    ("ledger_accounts", "owner_id, kind, day"),
    ("ledger_entries", "posting_id"),
    ("ledger_entries", "account_id"),
]


def _indexes(listed: list[tuple[str, str]], *, kind: str, prefix: str) -> ops.RunSQL:
    """All of them in one operation: Tortoise copies its picture of every table for each."""
    named = [(f"{prefix}_{table}_{columns.replace(', ', '_')}", table, columns) for table, columns in listed]
    return ops.RunSQL(
        [f'CREATE {kind} "{name}" ON "{table}" ({columns})' for name, table, columns in named],
        reverse_sql=[f'DROP INDEX "{name}"' for name, *_ in named],
    )


class Migration(migrations.Migration):
    dependencies = [("models", "0001_initial")]
    operations = [
        *(ops.AddConstraint(model, CheckConstraint(name=name, check=check)) for model, name, check in CHECKS),
        _indexes(UNIQUE, kind="UNIQUE INDEX", prefix="uq"),
        _indexes(INDEXES, kind="INDEX", prefix="ix"),
    ]
