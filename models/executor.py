"""Processes that work on durable runs, and when each was last alive."""

from tortoise import fields
from tortoise.models import Model


class Executor(Model):
    """One process; without a heartbeat for a while it counts as dead, and its runs are taken over."""

    id = fields.CharField(primary_key=True, max_length=120)
    beat_at = fields.DatetimeField()

    class Meta:
        table = "executors"
