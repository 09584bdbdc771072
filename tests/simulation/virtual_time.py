"""An event loop in which time passes only when nothing else is left to do, and nothing runs in a thread."""

import asyncio
import asyncio.base_events
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.simulation.processes import ProcessDead, current
from tests.simulation.saving import check_saved

MIDDAY = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


class NothingLeft(Exception):
    """Everybody waits for somebody else: without the simulation, this would hang for ever."""


class VirtualLoop(asyncio.base_events.BaseEventLoop):
    """asyncio's own scheduler over a clock that jumps to the next timer when no task is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self._selector = self

    def time(self) -> float:
        return self.seconds

    def select(self, timeout: float | None) -> list[Any]:
        """Stand in for the selector: instead of waiting, let the time pass."""
        if timeout is None:
            raise NothingLeft
        self.seconds += timeout
        return []

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Run the work at once; that of a dead process is not done any more."""
        future = self.create_future()
        process = current.get()
        try:
            if process is not None and process.dead:
                raise ProcessDead
            future.set_result(func(*args))
        except BaseException as error:
            future.set_exception(error)
        return future

    def _process_events(self, events: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


class VirtualClock:
    """`Clock` on the loop's time; `begin` is the moment at which the loop's time was 0."""

    def __init__(self, loop: VirtualLoop, *, begin: datetime = MIDDAY) -> None:
        self._loop = loop
        self._begin = begin

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=self._loop.seconds)

    async def sleep(self, seconds: float) -> None:
        check_saved("")
        await asyncio.sleep(seconds)
        if (process := current.get()) is not None:
            await process.point()
