"""One transaction per rule, finished even when its caller is cancelled; what must follow it runs after the commit."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import structlog
from tortoise.transactions import in_transaction

P = ParamSpec("P")
T = TypeVar("T")
AfterCommit = Callable[[], Awaitable[None]]

_hooks: ContextVar[list[AfterCommit] | None] = ContextVar("after_commit", default=None)
_log = structlog.get_logger()


def transactional(rule: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run a coroutine function in one transaction; nested ones join the outer.

    The transaction has a task of its own that a cancelled caller does not stop: Tortoise 1.1.9 deadlocks SQLite and
    leaks PostgreSQL connections when a task is cancelled inside `in_transaction`.
    """

    @functools.wraps(rule)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        if _hooks.get() is not None:
            return await rule(*args, **kwargs)
        task = asyncio.create_task(_run(rule(*args, **kwargs)))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise

    return wrapper


def after_commit(call: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call once the current transaction has committed; dropped when it rolls back.

    A failing call is logged and not raised: the rows are committed, and sweeps repeat what was lost.
    """
    hooks = _hooks.get()
    if hooks is None:
        raise RuntimeError("after_commit needs a transaction")
    hooks.append(functools.partial(call, *args, **kwargs))


def _log_failure(task: asyncio.Task[Any]) -> None:
    """A transaction whose caller is gone can tell its failure to nobody else."""
    if not task.cancelled() and (error := task.exception()):
        _log.warning("transaction.failed", exc_info=error)


async def _run(work: Coroutine[Any, Any, T]) -> T:
    hooks: list[AfterCommit] = []
    token = _hooks.set(hooks)
    try:
        async with in_transaction():
            result = await work
    finally:
        work.close()
        _hooks.reset(token)
    for hook in hooks:
        try:
            await hook()
        except Exception:
            _log.exception("after_commit.failed")
    return result
