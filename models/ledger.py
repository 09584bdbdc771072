"""Credits: double entry, append-only, one hash chain per owner."""

from enum import StrEnum
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.ids import new_id
from models.user import User


class AccountKind(StrEnum):
    """ISSUED and SPENT are the two ends of the world; only ISSUED may be below zero."""

    ISSUED = "ISSUED"
    ALLOWANCE = "ALLOWANCE"  # one per owner and UTC day
    BALANCE = "BALANCE"
    RESERVED = "RESERVED"
    SPENT = "SPENT"


class PostingKind(StrEnum):
    """Why credits moved."""

    ALLOWANCE = "ALLOWANCE"
    GRANT = "GRANT"
    RESERVE = "RESERVE"
    COMMIT = "COMMIT"
    REFUND = "REFUND"


class LedgerChain(Model):
    """The head of an owner's chain; updating it first serialises the owner's postings."""

    owner_id = fields.UUIDField(primary_key=True)
    seq = fields.IntField(default=0)
    hash = fields.CharField(max_length=64, default="")

    class Meta:
        table = "ledger_chains"


class LedgerAccount(Model):
    """An account and its running balance; `key` is `<kind>:<owner>` or `ALLOWANCE:<owner>:<day>`."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    key = fields.CharField(max_length=80, unique=True)
    owner_id: UUID
    owner: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT
    )
    kind = fields.CharEnumField(AccountKind, max_length=10)
    day = fields.DateField(null=True)
    granted = fields.BigIntField(default=0)
    balance = fields.BigIntField(default=0)

    class Meta:
        table = "ledger_accounts"


class LedgerPosting(Model):
    """One movement; its entries sum to zero. `slot` is `open` for RESERVE and `close` for COMMIT and REFUND."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    owner_id: UUID
    owner: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT
    )
    seq = fields.IntField()
    kind = fields.CharEnumField(PostingKind, max_length=10)
    job_id = fields.UUIDField(null=True)
    slot = fields.CharField(max_length=5, null=True)
    note = fields.CharField(max_length=200, default="")
    at = fields.DatetimeField()
    previous_hash = fields.CharField(max_length=64)
    hash = fields.CharField(max_length=64)

    class Meta:
        table = "ledger_postings"


class LedgerEntry(Model):
    """One side of a posting, in whole credits."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    posting_id: UUID
    posting: fields.ForeignKeyRelation[LedgerPosting] = fields.ForeignKeyField(
        "models.LedgerPosting", related_name=False, on_delete=fields.RESTRICT
    )
    account_id: UUID
    account: fields.ForeignKeyRelation[LedgerAccount] = fields.ForeignKeyField(
        "models.LedgerAccount", related_name=False, on_delete=fields.RESTRICT
    )
    amount = fields.BigIntField()

    class Meta:
        table = "ledger_entries"
