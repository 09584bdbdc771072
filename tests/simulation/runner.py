"""Runs seeds, alone or on several processes, and says how to repeat the one that failed."""

import asyncio
import multiprocessing
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock
from uuid import UUID

import structlog

from tests.simulation.database import Memory, opened, template
from tests.simulation.invariants import violations
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.virtual_time import NothingLeft, VirtualLoop
from tests.simulation.world import World

NOTHING = Mutant()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one seed showed."""

    seed: int
    problems: tuple[str, ...]
    trace: str
    mutant: str | None = None

    @property
    def command(self) -> str:
        """What repeats it."""
        mutant = f" --mutant {self.mutant}" if self.mutant else ""
        return f"python -m tests.simulation --from {self.seed} --seeds 1{mutant}"

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed} failed; repeat it with: {self.command}", *map("  {}".format, self.problems)])


class Simulation:
    """One database and one folder for many seeds, one after the other, in this process."""

    def __init__(self, schema: bytes, *, mutant: str | None = None) -> None:
        self.mutant = mutant
        self.change = MUTANTS[mutant] if mutant else NOTHING
        self.memory = Memory(schema, without=self.change.without)
        # In memory where there is such a folder: thousands of small files come and go.
        shared = Path("/dev/shm")  # noqa: S108
        self.folder = Path(tempfile.mkdtemp(prefix="likeness-simulation-", dir=shared if shared.is_dir() else None))

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def seed(self, seed: int) -> Outcome:
        """Run one seed."""
        loop = VirtualLoop()
        loop.set_exception_handler(lambda *_: None)
        asyncio.set_event_loop(loop)
        try:
            with _repeatable(loop, seed), self.change.applied():
                return loop.run_until_complete(self._seed(seed, loop))
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    async def _seed(self, seed: int, loop: VirtualLoop) -> Outcome:
        temp_dir = self.folder / str(seed)
        temp_dir.mkdir()
        async with AsyncExitStack() as stack:
            stack.callback(shutil.rmtree, temp_dir, ignore_errors=True)
            await stack.enter_async_context(opened(self.memory))
            world = World(seed, loop=loop, memory=self.memory, temp_dir=temp_dir)
            self.memory.reset(world.faults)
            await world.run()
            return Outcome(seed=seed, problems=tuple(violations(world)), trace=world.trace(), mutant=self.mutant)
