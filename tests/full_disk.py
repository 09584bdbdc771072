"""A disk that is full, by a real limit: no file of this process, or of one that it starts, may grow beyond it."""

import errno
import os
import resource
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

NO_ROOM = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """A write takes what still fits into `room` bytes of a file; the next one fails with EFBIG, as with ENOSPC.

    What is imported meanwhile is not compiled to disk: Python 3.11 would keep half a .pyc for good.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    compiles, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = compiles


class CrampedWorkers(ThreadPoolExecutor):
    """One worker, whose disk is full while `room` is set; the database's is not."""

    room: int | None = None

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> "Future[Any]":
        if self.room is None:
            return super().submit(work, *args, **options)
        return super().submit(cramped(work, room=self.room), *args, **options)


def cramped(work: Callable[..., Any], *, room: int) -> Callable[..., Any]:
    """The same call on a full disk."""

    def call(*args: Any, **options: Any) -> Any:
        with full_disk(room):
            return work(*args, **options)

    return call
