"""Following a job across lost websockets: no event twice, none left out."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final

import stamina

from likeness.client.errors import ConnectionLost

FINAL: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
# With pauses growing to 5 s this waits about two minutes for a server that restarts.
_ATTEMPTS: Final = 30

Event = dict[str, Any]
Open = Callable[[int | None], AsyncGenerator[Event, None]]


async def follow(open_events: Open, *, after_seq: int | None = None) -> AsyncIterator[Event]:
    """Every event up to the terminal one; `open_events(after_seq)` subscribes anew.

    Without `after_seq` the first event is the newest one. Raises `ConnectionLost` when many tries in a row bring
    no new event, and `ClientError` when the server refuses.
    """
    events, event = await _first(open_events, after_seq)
    try:
        while event is not None:
            if after_seq is None or event["seq"] > after_seq:
                after_seq = event["seq"]
                yield event
            if event["status"] in FINAL:
                return
            try:
                event = await anext(events, None)
            except ConnectionLost:
                events, event = await _first(open_events, after_seq)
    finally:
        await events.aclose()


@stamina.retry(on=ConnectionLost, attempts=_ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=5.0)
async def _first(open_events: Open, after_seq: int | None) -> tuple[AsyncGenerator[Event, None], Event | None]:
    """Subscribe and wait for one event, None at the end: the count of tries starts anew with every event."""
    events = open_events(after_seq)
    return events, await anext(events, None)
