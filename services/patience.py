"""How long a run asks a peer that is away. Time counts, not tries: one takes seconds or a quarter of an hour."""

from datetime import timedelta
from typing import Final

import stamina

LONGEST_WAIT: Final = 45.0  # seconds: a peer that is back is noticed within a minute
# Before the provider has done its work; afterwards the job is failed, and nothing was paid.
while_unpaid: Final = stamina.AsyncRetryingCaller(
    attempts=None, timeout=timedelta(minutes=30), wait_initial=1.0, wait_max=LONGEST_WAIT
)
# Once it has: what was paid is not thrown away for an outage.
once_paid: Final = stamina.AsyncRetryingCaller(
    attempts=None, timeout=timedelta(days=1), wait_initial=1.0, wait_max=LONGEST_WAIT
)
