"""Following a job: over lost sockets without gap or double, up to the terminal event."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
import stamina

from likeness.client.errors import ClientError, ConnectionLost
from likeness.client.follow import follow


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    """Four tries, without waiting between them."""
    with stamina.set_testing(True, attempts=4):
        yield


def event(seq: int, status: str = "TRAINING") -> dict[str, Any]:
    """A progress event."""
    return {"seq": seq, "status": status}


class Script:
    """Sockets that were written in advance: each is a list of events, and an exception ends it."""

    def __init__(self, *sockets: list[Any]) -> None:
        self.asked: list[int | None] = []
        self.closed = 0
        self._sockets = iter(sockets)

    async def open(self, after_seq: int | None) -> AsyncGenerator[dict[str, Any], None]:
        self.asked.append(after_seq)
        try:
            for item in next(self._sockets):
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed += 1


async def seqs(script: Script, after_seq: int | None = 0) -> list[int]:
    """What a follower sees."""
    return [seen["seq"] async for seen in follow(script.open, after_seq=after_seq)]


async def test_one_socket() -> None:
    """Events as they come; the terminal one ends it even if the server never completes."""
    script = Script([event(1), event(2), event(3, "COMPLETED"), event(4)])
    assert [1, 2, 3] == await seqs(script)
    assert ([0], 1) == (script.asked, script.closed)


async def test_lost_socket() -> None:
    """A new socket is asked for what follows the last event seen, and a double from it is dropped."""
    script = Script([event(1), event(2), ConnectionLost("")], [event(2), event(3)], [])
    assert [1, 2, 3] == await seqs(script)
    assert ([0, 2], 2) == (script.asked, script.closed)


async def test_newest_first() -> None:
    """Without a cursor the first event is the newest, and the next socket continues from there."""
    script = Script([event(7), ConnectionLost("")], [event(8, "FAILED")])
    assert [7, 8] == await seqs(script, after_seq=None)
    assert [None, 7] == script.asked


async def test_tries_are_counted_anew() -> None:
    """Every event shows that the server is alive: many losses with progress between them are no reason to give up."""
    sockets: list[list[Any]] = [[event(seq), ConnectionLost("")] for seq in range(1, 9)]
    assert list(range(1, 10)) == await seqs(Script(*sockets, [event(9, "CANCELLED")]))


async def test_a_server_that_stays_away() -> None:
    """The loss is told after the last try."""
    script = Script(*[[ConnectionLost("gone")]] * 9)
    with pytest.raises(ConnectionLost, match="gone"):
        await seqs(script)
    assert 4 == len(script.asked)


async def test_a_refusal() -> None:
    """What the server refuses is not tried again."""
    script = Script([ClientError("There is no training with this id.", code="NOT_FOUND")])
    with pytest.raises(ClientError, match="no training"):
        await seqs(script)
    assert [0] == script.asked


async def test_an_early_end() -> None:
    """A training that ended before the cursor: the server completes at once."""
    assert [] == await seqs(Script([]), after_seq=12)


async def test_a_follower_that_leaves() -> None:
    """Leaving closes the socket."""
    script = Script([event(1), event(2)])
    async with aclosing(follow(script.open, after_seq=0)) as events:
        async for _ in events:
            break
    assert 1 == script.closed
