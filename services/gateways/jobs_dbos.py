"""Durable runs on DBOS: its SQLite file in one process, or PostgreSQL shared by many."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, SetWorkflowID, StepOptions

from models.errors import LikenessError
from services.gateways.run_failure import Failure
from services.ports import Run, Step

NAME = "likeness"
WORKFLOW = "likeness.run"
QUEUE = "runs"
THREADS = 16  # DBOS has no bound of its own; its calls to the database run in these
STOP_SECONDS = 10.0  # how long a cancelled step may take to clean up
ENQUEUE_SECONDS = 30.0
# A connection that is dead without a word, as after a lost network, is given up after 25 s; by default after 15 min.
NOTICE_THE_DEAD = {
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 25_000,
}  # fmt: skip
FORGET_BATCH = 1000

Workflow = Callable[[str, str], Coroutine[Any, Any, None]]

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often a step is tried, and how long to wait between; the defaults outlast a database away for two minutes."""

    attempts: int = 8
    first_wait_seconds: float = 1.0
    growth: float = 2.0
    give_up_attempts: int = 100  # waits grow to an hour: ending a job must survive what a step did not


class DbosJobs:
    """`Jobs` on DBOS 3.4, whose instance is one per Python process: never start two at once.

    `system_database_url` is `sqlite:///path`, `postgres://` or `postgresql://`. Processes that share a database need
    different executor ids; a process that starts with the id of a dead one resumes its runs. Change
    `application_version` only with the steps: runs of another version are left alone.
    DBOS makes its threads the default executor of the loop (`asyncio.to_thread`) until `stop`.
    """

    def __init__(
        self,
        system_database_url: str,
        *,
        executor_id: str,
        application_version: str,
        patience: Patience | None = None,
        polling_seconds: float = 0.3,
    ) -> None:
        self._url = system_database_url.replace("postgres://", "postgresql://", 1)
        self._config: DBOSConfig = {
            "name": NAME,
            "system_database_url": self._url,
            "executor_id": executor_id,
            "application_version": application_version,
            "max_executor_threads": THREADS,
            "db_engine_kwargs": _engine(self._url),
            "log_level": "WARNING",
            "enable_otlp": False,
            # Only DBOS's messages and events need it, and neither is used here.
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": 0.2,
        }
        self._patience = patience or Patience()
        self._polling_seconds = polling_seconds
        self._runs: Mapping[str, Run] = {}
        self._workflow: Workflow | None = None
        self._working: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._noise = _Noise()

    async def start(self, runs: Mapping[str, Run]) -> None:
        """Begin working. Blocks the loop for a moment while DBOS opens its database, because it adopts the loop
        that it is launched in; later its database calls run in threads."""
        self._runs, self._stopping = dict(runs), False
        try:
            # Without a limit of recoveries: a run that DBOS has put away would never reach its give_up.
            self._workflow = DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)(self._entry())
            await asyncio.to_thread(self._prepare)
            DBOS(config=self._config)
            DBOS.launch()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Cancel the running steps and close the database; whatever was interrupted starts its step again later."""
        if self._workflow is None:
            return
        self._stopping = True
        logging.getLogger("dbos").addFilter(self._noise)
        await self._cancel_steps()
        # DBOS ends the threads that it gave to asyncio.to_thread, which others still use.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        with ThreadPoolExecutor(max_workers=1) as outside:
            # In a thread that is not DBOS's: it waits for its own, which may wait for this loop.
            await asyncio.get_running_loop().run_in_executor(outside, _destroy)
        await self._cancel_steps()
        logging.getLogger("dbos").removeFilter(self._noise)
        self._workflow = None

    async def enqueue(self, kind: str, id: UUID) -> None:
        """Write the run down for whichever process is free.

        Raises `KeyError` for an unknown kind and `TimeoutError` when the database does not answer; the run may be
        written nevertheless.
        """
        if kind not in self._runs:
            raise KeyError(kind)
        # An empty context: DBOS would take a run that a step asks for as a part of the run it is in.
        task = asyncio.create_task(self._write(kind, id), context=contextvars.Context())
        async with asyncio.timeout(ENQUEUE_SECONDS):
            await task

    async def take_over(self, executor_id: str) -> int:
        """Put the unfinished runs of a dead executor back in the queue and return how many there were.

        Its owner must be dead: DBOS lets one that comes back write no more, but a step may then run twice at once.
        """
        lost = await DBOS.list_workflows_async(
            executor_id=executor_id, status="PENDING", name=WORKFLOW, load_input=False, load_output=False
        )
        await DBOS.resume_workflows_async([run.workflow_id for run in lost], queue_name=QUEUE)
        return len(lost)

    async def forget(self, *, before: datetime) -> int:
        """Delete ended runs; DBOS keeps them for ever otherwise. Bounded: the next sweep takes the rest."""
        ended = await DBOS.list_workflows_async(
            status=["SUCCESS", "ERROR", "CANCELLED"], name=WORKFLOW, completed_before=before.isoformat(),
            limit=FORGET_BATCH, load_input=False, load_output=False,
        )  # fmt: skip
        await DBOS.delete_workflows_async([run.workflow_id for run in ended])
        return len(ended)

    async def _write(self, kind: str, id: UUID) -> None:
        assert self._workflow is not None, "start first"
        with SetWorkflowID(f"{kind}:{id}"):
            await DBOS.enqueue_workflow_async(QUEUE, self._workflow, kind, str(id))

    def _prepare(self) -> None:
        """Make the tables and the queue; a queue made after the launch is noticed a second late."""
        DBOS.migrate(self._url)
        client = DBOSClient(system_database_url=self._url, application_name=NAME)
        try:
            client.register_queue(QUEUE, polling_interval_sec=self._polling_seconds)
        finally:
            client.destroy()

    def _entry(self) -> Workflow:
        # DBOS hangs attributes on what it registers, which a bound method does not take.
        async def run(kind: str, id: str) -> None:
            await self._work(kind, UUID(id))

        return run

    async def _work(self, kind: str, id: UUID) -> None:
        self._register()
        run = self._runs[kind]
        for step in run.steps:
            failure = await DBOS.run_step_async(self._options(kind, _name(step)), self._attempt, step, id)
            if failure is not None:
                await DBOS.run_step_async(self._last_options(kind), _give_up, run, id, failure.error())
                return

    def _register(self) -> None:
        if self._stopping:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _attempt(self, step: Step, id: UUID) -> "Failure | None":
        """Run a step; what can no longer be tried is returned, because DBOS could not read back our exceptions."""
        try:
            await step(id)
        except LikenessError as error:
            return Failure.of(error)
        except Exception as error:
            status = DBOS.step_status
            if status is None or (status.current_attempt or 0) + 1 < (status.max_attempts or 1):
                raise
            _log.exception("run.step_failed", step=_name(step), id=str(id))
            return Failure.of(error)
        return None

    async def _cancel_steps(self) -> None:
        for task in self._working:
            task.cancel()
        if self._working:
            await asyncio.wait(set(self._working), timeout=STOP_SECONDS)

    def _options(self, kind: str, name: str) -> StepOptions:
        return {
            "name": f"{kind}.{name}",
            "retries_allowed": True,
            "max_attempts": self._patience.attempts,
            "interval_seconds": self._patience.first_wait_seconds,
            "backoff_rate": self._patience.growth,
        }

    def _last_options(self, kind: str) -> StepOptions:
        return {**self._options(kind, "give_up"), "max_attempts": self._patience.give_up_attempts}


class _Noise(logging.Filter):
    """Drops what DBOS reports about steps that `stop` cancels."""

    EXPECTED = ("Asyncio task cancelled", "Exception encountered in asynchronous workflow")

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(self.EXPECTED)


def _engine(url: str) -> dict[str, Any]:
    return {"connect_args": {"application_name": NAME, **NOTICE_THE_DEAD}} if url.startswith("postgresql") else {}


def _name(step: Step) -> str:
    return getattr(step, "__name__", type(step).__name__)


async def _give_up(run: Run, id: UUID, error: Exception) -> None:
    await run.give_up(id, error)


def _destroy() -> None:
    DBOS.destroy(destroy_registry=True)
