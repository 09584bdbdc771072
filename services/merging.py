"""Several streams as one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Stands in the queue for the end of one stream."""

    error: Exception | None


async def merged(streams: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
    """Yield what any of the streams gives, as it comes, until all have ended; what one raises is raised.

    Nothing is read ahead but one item a stream. Closing this closes the streams.
    """
    queue: asyncio.Queue[T | Ended] = asyncio.Queue(maxsize=1)
    tasks = [asyncio.create_task(_pump(stream, queue)) for stream in streams]
    left = len(tasks)
    try:
        while left:
            item = await queue.get()
            if not isinstance(item, Ended):
                yield item
                continue
            left -= 1
            if item.error is not None:
                raise item.error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(stream: AsyncGenerator[T, None], queue: "asyncio.Queue[T | Ended]") -> None:
    error = None
    async with aclosing(stream):
        try:
            async for item in stream:
                await queue.put(item)
        except Exception as raised:
            error = raised
    await queue.put(Ended(error=error))
