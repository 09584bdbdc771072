"""Credits: what may be spent, and what a job will cost."""

from datetime import datetime
from typing import Any, Self

import strawberry

from schema.types.node import OfRow
from services.credits import QuotaView
from services.training import Estimate

AMOUNTS = ("daily_limit", "daily_used", "remaining", "weekly_used", "current_balance")
LARGEST_INT = 2**31 - 1


def shown_amount(credits: int) -> int:
    """GraphQL's Int has 32 bits, and one number beyond them would void the whole answer; a setting may be larger."""
    return max(-LARGEST_INT, min(credits, LARGEST_INT))


@strawberry.type(description="What the viewer may spend, in credits. The day's allowance is spent before the balance.")
class Quota(OfRow):
    row: strawberry.Private[QuotaView]
    daily_limit: int = strawberry.field(description="The day's allowance.")
    daily_used: int = strawberry.field(description="How much of the allowance is spent or reserved.")
    remaining: int = strawberry.field(description="How much of the allowance is left.")
    weekly_used: int = strawberry.field(description="How much of their allowances the last seven days have used.")
    daily_reset: datetime = strawberry.field(description="When the next allowance begins: the next UTC midnight.")
    current_balance: int = strawberry.field(description="Credits beyond the allowance; they do not expire.")
    timestamp: datetime = strawberry.field(description="When this was so.")

    @classmethod
    def of(cls, row: Any, **others: Any) -> Self:
        """Show a quota."""
        return super().of(row, **{name: shown_amount(getattr(row, name)) for name in AMOUNTS} | others)


@strawberry.type(description="What a job will cost, without starting it.")
class CostEstimate(OfRow):
    row: strawberry.Private[Estimate]
    credits: int = strawberry.field(description="The price, in credits.")
    usd: float | None = strawberry.field(description="About what the provider charges for it, in US dollars.")
    seconds: int | None = strawberry.field(description="About how long it takes.")
    simulated: bool = strawberry.field(description="Whether the sandbox would do it, for no money.")
