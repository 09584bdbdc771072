"""Processes of the simulation: each may be killed or stopped for a while at any of its awaits.

A killed process does not clean up. Its tasks go on until they next touch the outside (database, provider, store,
bus, engine, clock), which a dead process cannot reach: there they end, and an open transaction is rolled back.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


class ProcessDead(BaseException):
    """The process of this task was killed; no `except Exception` may go on."""


@dataclass(eq=False)
class Process:
    """One life of a process. `kill_at`, `stop_at` and `cancel_at` count its points (awaits on the outside).

    `kill_near` is (which change of a paid call, how many points after it): the moments at which most is at stake.
    """

    name: str
    on_death: Callable[["Process"], None]
    on_stop: Callable[["Process"], None]
    on_cancel: Callable[["Process"], None]
    dead: bool = False
    stopped_until: float = 0.0
    points: int = 0
    kill_at: frozenset[int] = frozenset()
    kill_near: tuple[int, int] = (0, 0)
    stop_at: dict[int, float] = field(default_factory=dict)
    cancel_at: frozenset[int] = frozenset()

    async def point(self) -> None:
        """Where a process may die, or stand still for a while (SIGSTOP)."""
        self.count()
        while (pause := self.stopped_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(pause)
        self.check()

    def count(self) -> None:
        """A point at which the process may die, but not stand still."""
        self.check()
        self.points += 1
        if self.points in self.kill_at:
            self.dead = True
            self.on_death(self)
        if self.points in self.cancel_at:
            self.on_cancel(self)
        if seconds := self.stop_at.get(self.points):
            self.stopped_until = asyncio.get_running_loop().time() + seconds
            self.on_stop(self)
        self.check()

    def changes_call(self) -> None:
        """It is about to change what is known of a paid call."""
        which, points = self.kill_near
        self.kill_near = (which - 1, points)
        if which == 1:
            self.kill_at |= {self.points + points}

    def check(self) -> None:
        """Raise `ProcessDead` in a dead process."""
        if self.dead:
            raise ProcessDead

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run a task of this process, which inherits nothing: not the transaction of whoever caused it."""
        context = Context()
        context.run(current.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)


current: ContextVar[Process | None] = ContextVar("current_process", default=None)


async def touch() -> None:
    """The outside is reached here by whichever process asks; the harness itself never fails."""
    if (process := current.get()) is not None:
        await process.point()
