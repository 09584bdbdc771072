"""Runs as the durable engine carries them out: a step that fails is tried again, and at last the run is given up."""

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

from models.errors import LikenessError
from services.gateways.jobs_dbos import Patience
from services.ports import Run

ATTEMPTS = Patience().attempts


async def _nothing() -> None:
    """Before a step is tried again."""


async def carried_out(run: Run, id: UUID, *, between: Callable[[], Awaitable[None]] = _nothing) -> int:
    """Carry a run out and return how often a step was tried again; `between` happens before each of these."""
    again = 0

    async def tried(work: Callable[[], Awaitable[None]]) -> Exception | None:
        nonlocal again
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await work()
            except LikenessError as error:
                return error
            except Exception as error:
                if attempt == ATTEMPTS:
                    return error
                again += 1
                await between()
            else:
                return None
        return None

    for step in run.steps:
        if (failure := await tried(partial(step, id))) is not None:
            assert None is await tried(partial(run.give_up, id, failure))
            break
    return again
