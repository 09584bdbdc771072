"""Runs seeds, alone or on several processes, and says how to repeat the one that failed."""

import gc
import logging
import multiprocessing
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Self
from unittest import mock
from uuid import UUID

import structlog

from tests.simulation.database import Memory, attach, template, tortoise
from tests.simulation.happened import happened
from tests.simulation.invariants import violations
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.virtual_time import NothingLeft, VirtualLoop
from tests.simulation.world import World

CHUNK = 50  # seeds that a process is given at once


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one seed showed; `trace` is a hash of all that happened, `happened` counts the kinds of it."""

    seed: int
    problems: tuple[str, ...]
    trace: str = ""
    happened: Counter[str] = field(default_factory=Counter)
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
        # What is left of a failed seed may be collected at any time, and has nothing to say.
        self.stack.enter_context(mock.patch("sys.unraisablehook", mock.Mock()))
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
            return Outcome(
                seed=seed, problems=tuple(violations(world)), trace=world.trace(), happened=happened(world),
                mutant=self.mutant,
            )  # fmt: skip

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


def run_seeds(first: int, seeds: int, *, schema: bytes, mutant: str | None = None) -> Iterator[Outcome]:
    """Run seeds in this process, one by one."""
    gc.freeze()  # what is imported by now stays; looking through it again and again costs a tenth of the time
    gc.set_threshold(50_000)
    with Simulation(schema, mutant=mutant) as simulation:
        for seed in range(first, first + seeds):
            yield simulation.seed(seed)


def run_everywhere(
    first: int, seeds: int, *, processes: int, mutant: str | None = None
) -> Iterator[tuple[list[Outcome], Counter[str]]]:
    """Run seeds on several fresh processes; yields the failed ones and the counts of each chunk, in order."""
    schema, last = template(), first + seeds
    chunks = [(begin, min(CHUNK, last - begin), mutant) for begin in range(first, last, CHUNK)]
    with _pool(processes) as workers:
        yield from workers.map(partial(_chunk, schema), chunks)


def first_failures(mutants: list[str], *, within: int, processes: int) -> dict[str, Outcome | None]:
    """The first seed that shows each mutant; None for one that survives this many seeds."""
    schema = template()
    with _pool(processes) as workers:
        found = workers.map(partial(_first_failure, schema, within), mutants)
        return dict(zip(mutants, found, strict=True))


def trace_of(seed: int) -> str:
    """The trace of one seed, run in a fresh process."""
    with _pool(1) as worker:
        return worker.submit(_trace, template(), seed).result()


def _pool(processes: int) -> ProcessPoolExecutor:
    """Fresh processes: what a seed patches is seen by nobody else."""
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))


def _chunk(schema: bytes, chunk: tuple[int, int, str | None]) -> tuple[list[Outcome], Counter[str]]:
    first, seeds, mutant = chunk
    failed, counts = [], Counter[str]()
    for outcome in run_seeds(first, seeds, schema=schema, mutant=mutant):
        failed += [outcome] if outcome.problems else []
        counts += outcome.happened
    return failed, counts


def _first_failure(schema: bytes, within: int, mutant: str) -> Outcome | None:
    with closing(run_seeds(0, within, schema=schema, mutant=mutant)) as outcomes:
        return next((outcome for outcome in outcomes if outcome.problems), None)


def _trace(schema: bytes, seed: int) -> str:
    """After another seed, of which nothing may be left."""
    *_, last = run_seeds(seed - 1, 2, schema=schema)
    return last.trace
