"""Paid calls to the provider: one row per intended call, written before the call is made."""

from enum import StrEnum

from tortoise import fields
from tortoise.models import Model

from models.ids import new_id


class SubmissionState(StrEnum):
    """What is known of a paid call."""

    INTENDED = "INTENDED"  # written before the POST; found again after a crash, it may or may not have been sent
    REFUSED = "REFUSED"  # surely not accepted; the same call may be sent again
    ACCEPTED = "ACCEPTED"  # the request id is known
    SKIPPED = "SKIPPED"  # never sent: the model cannot honour the request
    FAILED = "FAILED"  # over without a usable result
    DONE = "DONE"  # over, the result was used


class Submission(Model):
    """One paid call for one job (a training or a generation); `attempt` counts the models of a chain from 0."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    job_id = fields.UUIDField()
    attempt = fields.IntField(default=0)
    endpoint = fields.CharField(max_length=100)
    model = fields.CharField(max_length=100)
    state = fields.CharEnumField(SubmissionState, max_length=10, default=SubmissionState.INTENDED)
    needle = fields.TextField()
    arguments = fields.JSONField[dict[str, object]]()
    request_id = fields.CharField(max_length=100, null=True, unique=True)
    status_url = fields.CharField(max_length=500, null=True)
    response_url = fields.CharField(max_length=500, null=True)
    cancel_url = fields.CharField(max_length=500, null=True)
    error = fields.TextField(null=True)
    error_type = fields.CharField(max_length=100, null=True)  # the provider's name for a refusal, else our error's
    lost = fields.BooleanField(default=False, db_default=False)
    created_at = fields.DatetimeField()
    accepted_at = fields.DatetimeField(null=True)

    class Meta:
        table = "submissions"
