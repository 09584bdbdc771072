"""The viewer's ledger: every movement of credits, and the proof that nothing in it was changed."""

from datetime import datetime

import strawberry

from models.ledger import LedgerPosting as LedgerPostingRow
from schema.context import Info
from schema.types.credits import shown_amount
from schema.types.fields import computed
from schema.types.generation import Generation
from schema.types.node import Node, OfRow, global_id
from schema.types.paging import Connection
from schema.types.status import PostingKind
from schema.types.training import Training
from services.audit import Audit


@strawberry.type(description="One movement of the viewer's credits; never changed afterwards.")
class LedgerPosting(Node):
    row: strawberry.Private[LedgerPostingRow]
    seq: int = strawberry.field(description="Its number: 1, 2, 3 ... without a gap, per user.")
    kind: PostingKind = strawberry.field(description="Why credits moved.")
    note: str = strawberry.field(description="What was written to it, such as the reason of a grant; often empty.")
    at: datetime = strawberry.field(description="When they moved.")
    hash: str = strawberry.field(
        description="The SHA-256 of its facts and of the hash before it, in hex: to change one, all later ones must be."
    )

    @computed("By how many credits it changed what the viewer can spend: below zero for a RESERVE, 0 for a COMMIT.")
    async def amount(self, info: Info) -> int:
        return shown_amount(await info.context.loaders.change_of_posting.load(self.row.id))

    @computed("The id of the training or generation it is about; null when it is about none.")
    async def job_id(self, info: Info) -> strawberry.ID | None:
        training = await self.training(info)
        job = training or await self.generation(info)
        return global_id(type(job).__name__, job.row.id) if job else None

    @computed("The training it is about.")
    async def training(self, info: Info) -> Training | None:
        if self.row.job_id is None:
            return None
        return Training.of_maybe(await info.context.loaders.training.load(self.row.job_id))

    @computed("The generation it is about.")
    async def generation(self, info: Info) -> Generation | None:
        if self.row.job_id is None:
            return None
        return Generation.of_maybe(await info.context.loaders.generation.load(self.row.job_id))


@strawberry.type(description="One page of the ledger, newest first.")
class LedgerConnection(Connection[LedgerPosting]):
    pass


@strawberry.type(description="What a check of the viewer's whole ledger found.")
class LedgerAudit(OfRow):
    row: strawberry.Private[Audit]
    balanced: bool = strawberry.field(
        description="Whether every posting is whole and in its place, sums to zero, and every account holds the sum of "
        "its entries."
    )
    entries: int = strawberry.field(
        description="How many entries were checked; each posting has one per account that it changes, so two or three."
    )
    broken_at: int | None = strawberry.field(
        description="The `seq` of the first posting that was changed or is missing; null when there is none."
    )
