"""The durable engine: steps at least once, from the last recorded one; at times two processes in the same run."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from models.errors import LikenessError
from services.ports import Run
from tests.simulation.faults import Faults
from tests.simulation.processes import Process, touch
from tests.simulation.saving import check_saved

STEP_ATTEMPTS, LAST_ATTEMPTS = 8, 100


@dataclass
class Record:
    """What is written down of one run; `turn` grows when another process takes it over."""

    kind: str
    id: UUID
    step: int = 0
    failure: Exception | None = None
    ended: bool = False
    turn: int = 0
    worker: Process | None = None
    task: "asyncio.Task[None] | None" = None


class Engine:
    """`Jobs` whose records survive every process."""

    def __init__(
        self, faults: Faults, choose: Callable[[], Process], on_end: Callable[["asyncio.Task[None]"], None]
    ) -> None:
        self.faults = faults
        self.choose = choose
        self.on_end = on_end
        self.runs: Mapping[str, Run] = {}
        self.records: dict[tuple[str, UUID], Record] = {}

    @property
    def busy(self) -> bool:
        return not all(record.ended for record in self.records.values())

    async def start(self, runs: Mapping[str, Run]) -> None:
        self.runs = runs

    async def stop(self) -> None:
        pass

    async def enqueue(self, kind: str, id: UUID) -> None:
        check_saved("")
        await touch()
        if self.faults.happens("enqueue_lost"):
            raise TimeoutError
        if (kind, id) not in self.records:
            record = self.records[kind, id] = Record(kind, id)
            self._later(record, self.faults.seconds(0, 2))

    async def take_over(self, executor_id: str) -> int:
        return 0

    async def forget(self, *, before: datetime) -> int:
        return 0

    def died(self, process: Process) -> None:
        """Put the runs of a dead process back, as its heartbeat is missed."""
        for record in self.records.values():
            if record.worker is process and not record.ended:
                self._later(record, self.faults.seconds(1, 30))

    def doubt(self, process: Process) -> None:
        """Take a slow process for dead: its runs are worked by another one too."""
        self.died(process)

    def cancel(self, process: Process) -> None:
        """Cancel the steps of a process that shuts down in order; they are begun again."""
        for record in self.records.values():
            if record.worker is process and not record.ended and record.task is not None:
                record.task.cancel()
                self._later(record, 1)

    def _later(self, record: Record, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._work_on, record)

    def _work_on(self, record: Record) -> None:
        if record.ended:
            return
        record.turn += 1
        record.worker = self.choose()
        record.task = record.worker.spawn(self._work(record, record.turn))
        record.task.add_done_callback(self.on_end)

    async def _work(self, record: Record, turn: int) -> None:
        run = self.runs[record.kind]
        while record.failure is None and record.step < len(run.steps):
            step = record.step
            failure = await self._patiently(run.steps[step], record.id, STEP_ATTEMPTS)
            await touch()  # a crash here: the step was done, and is not known to be
            if record.turn != turn:
                return
            record.step, record.failure = step + 1, failure
        if record.failure is not None:
            await self._patiently(run.give_up, record.id, LAST_ATTEMPTS, record.failure)
            await touch()
        record.ended = record.ended or record.turn == turn

    async def _patiently(self, step: object, id: UUID, attempts: int, *rest: Exception) -> Exception | None:
        for attempt in range(1, attempts + 1):
            try:
                await step(id, *rest)  # type: ignore[operator]
            except LikenessError as error:
                return error
            except AssertionError:
                raise
            except Exception as error:
                if attempt == attempts:
                    return error
                await asyncio.sleep(min(2.0**attempt, 3600))
                await touch()
            else:
                return None
        return None
