"""Runs seeds, alone or on several processes, and says how to repeat the one that failed."""

import asyncio
import logging
import multiprocessing
import random
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Self
from unittest import mock
from uuid import UUID

import structlog

from tests.simulation.database import Memory, attach, template, tortoise
from tests.simulation.invariants import violations
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.virtual_time import NothingLeft, VirtualLoop
from tests.simulation.world import World

CHUNK = 50  # seeds that a process is given at once


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one seed showed; `trace` is a hash of all that happened."""

    seed: int
    problems: tuple[str, ...]
    trace: str = ""
    mutant: str | None = None

    def __str__(self) -> str:
        mutant = f" --mutant {self.mutant}" if self.mutant else ""
        command = f"python -m tests.simulation --from {self.seed} --seeds 1{mutant}"
        return "\n".join([f"seed {self.seed} failed; repeat it with: {command}", *(f"  {it}" for it in self.problems)])


class Simulation:
    """Runs many seeds, one after the other, on one database in memory."""

    def __init__(self, schema: bytes, *, mutant: str | None = None) -> None:
        self.schema, self.mutant = schema, mutant
        self.change = MUTANTS[mutant] if mutant else Mutant()
        self.memory = self._memory()

    def __enter__(self) -> Self:
        self.stack = ExitStack()
        loop = self.stack.enter_context(closing(VirtualLoop()))
        self.client = self.stack.enter_context(tortoise(loop))
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def seed(self, seed: int) -> Outcome:
        """Run one seed."""
        loop = VirtualLoop()
        loop.set_exception_handler(lambda *_: None)
        try:
            with _repeatable(loop, seed), self.change.applied():
                outcome = loop.run_until_complete(self._seed(seed, loop))
        except NothingLeft:
            problem = f"everybody waits for ever at {loop.time():.0f} s"
            outcome = Outcome(seed=seed, problems=(problem,), mutant=self.mutant)
        finally:
            loop.close()
        if outcome.problems:
            # Tasks that never ended may still roll back when they are collected: not in the next seed's database.
            self.memory = self._memory()
        return outcome

    async def _seed(self, seed: int, loop: VirtualLoop) -> Outcome:
        # In memory where there is such a folder: thousands of small files come and go.
        shared = Path("/dev/shm")
        with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
            world = World(seed, loop=loop, memory=self.memory, temp_dir=Path(folder))
            self.memory.reset(world.faults)
            attach(self.client, self.memory)
            await world.run()
            return Outcome(seed=seed, problems=tuple(violations(world)), trace=world.trace(), mutant=self.mutant)

    def _memory(self) -> Memory:
        return Memory(self.schema, without=self.change.without)


@contextmanager
def _repeatable(loop: VirtualLoop, seed: int) -> Iterator[None]:
    """Ids, retries and their jitter that depend on the seed only; and no log."""
    numbers = count(1)
    ids = SimpleNamespace(uuid7=lambda: UUID(int=(int(loop.time() * 1000) << 80) | (7 << 76) | next(numbers)))
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    random.seed(seed)
    with ExitStack() as stack:
        stack.enter_context(mock.patch("models.ids.compat", ids))
        stack.enter_context(mock.patch("tenacity.time", SimpleNamespace(monotonic=loop.time)))
        structlog.configure(wrapper_class=silent)
        stack.callback(structlog.reset_defaults)
        yield


def run_seeds(first: int, seeds: int, schema: bytes, mutant: str | None = None) -> list[Outcome]:
    """Run seeds in this process and return those that failed; with a mutant, stop at the first."""
    failed: list[Outcome] = []
    with Simulation(schema, mutant=mutant) as simulation:
        for seed in range(first, first + seeds):
            outcome = simulation.seed(seed)
            failed += [outcome] if outcome.problems else []
            if failed and mutant:
                break
    return failed


def run_everywhere(first: int, seeds: int, *, processes: int) -> Iterator[Outcome]:
    """Run seeds on several processes; yields those that failed."""
    schema, last = template(), first + seeds
    with pool(processes) as workers:
        chunks = [(begin, min(CHUNK, last - begin)) for begin in range(first, last, CHUNK)]
        for failed in workers.map(partial(_chunk, schema), chunks):
            yield from failed


def kill_mutants(names: list[str], *, within: int, processes: int) -> dict[str, Outcome | None]:
    """The first seed that shows each mutant; None for one that survives this many seeds."""
    schema = template()
    with pool(processes) as workers:
        found = workers.map(partial(_kill, schema, within), names)
        return dict(zip(names, found, strict=True))


def pool(processes: int) -> ProcessPoolExecutor:
    """Fresh processes: what a seed patches is seen by nobody else."""
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))


def _chunk(schema: bytes, chunk: tuple[int, int]) -> list[Outcome]:
    return run_seeds(*chunk, schema)


def _kill(schema: bytes, within: int, name: str) -> Outcome | None:
    return next(iter(run_seeds(0, within, schema, name)), None)
