"""Several streams as one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from services.merging import merged


class Source:
    """A stream of numbers that notes when it is closed."""

    def __init__(self, *numbers: int, error: Exception | None = None) -> None:
        self.numbers, self.error, self.closed = numbers, error, False

    async def stream(self) -> AsyncGenerator[int, None]:
        try:
            for number in self.numbers:
                await asyncio.sleep(0)
                yield number
            if self.error:
                raise self.error
        finally:
            self.closed = True


async def test_everything_comes_and_it_ends() -> None:
    """Each stream in its order, and the end after all of them."""
    sources = [Source(1, 2, 3), Source(), Source(10, 20)]
    got = [number async for number in merged([source.stream() for source in sources])]
    assert [1, 2, 3] == [number for number in got if number < 10]
    assert [10, 20] == [number for number in got if number >= 10]
    assert all(source.closed for source in sources)


async def test_what_one_raises_is_raised() -> None:
    """And the others are closed."""
    other = Source(*range(1000))
    with pytest.raises(ValueError, match="broken"):
        [number async for number in merged([Source(1, error=ValueError("broken")).stream(), other.stream()])]
    assert other.closed


async def test_leaving_early_closes_the_streams() -> None:
    """No task is left behind."""
    sources = [Source(*range(1000)), Source(*range(1000))]
    async with aclosing(merged([source.stream() for source in sources])) as numbers:
        assert 0 == await anext(numbers)
    assert all(source.closed for source in sources)
    assert 1 == len(asyncio.all_tasks())


async def test_none_at_all() -> None:
    """An empty list is an empty stream."""
    assert [] == [number async for number in merged([])]
