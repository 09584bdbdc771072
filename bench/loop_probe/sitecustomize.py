"""Python imports this by itself when its folder is on PYTHONPATH: it watches the event loop of `asyncio.run`.

Only with LOOP_PROBE set to a file, to which one JSON object a second is appended: `samples`, and `stacks` seen while
the loop was blocked. A sample is [Unix time, milliseconds the timer was late, of these the loop's thread computed,
the whole process computed]. The process's id goes to the file with the ending `.pid`.
"""

import asyncio
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

PERIOD_SECONDS = 0.005
STACK_AFTER_SECONDS = 0.06
FLUSH_SECONDS = 1.0
DEPTH = 12


class Probe:
    """Timers that should fire every 5 ms, and a thread that looks at the loop's stack while one does not."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._samples: list[tuple[float, ...]] = []
        self._stacks: list[tuple[float, list[str]]] = []
        self._thread = threading.get_ident()
        self._due = 0.0
        self._clocks = (0.0, 0.0)

    async def around(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Await `main` and watch."""
        self._file.with_suffix(".pid").write_text(str(os.getpid()))
        threading.Thread(target=self._watch, daemon=True).start()
        self._arm()
        return await main

    def _arm(self) -> None:
        self._due = time.monotonic() + PERIOD_SECONDS
        self._clocks = (time.thread_time(), time.process_time())
        asyncio.get_running_loop().call_later(PERIOD_SECONDS, self._fire)

    def _fire(self) -> None:
        late = time.monotonic() - self._due
        thread, process = time.thread_time() - self._clocks[0], time.process_time() - self._clocks[1]
        self._samples.append((time.time(), late * 1000, thread * 1000, process * 1000))
        self._arm()

    def _watch(self) -> None:
        seen, written = 0.0, time.monotonic()
        while True:
            time.sleep(0.01)
            due = self._due
            if due != seen and 0 < due < time.monotonic() - STACK_AFTER_SECONDS:
                seen = due
                stack = traceback.extract_stack(sys._current_frames()[self._thread])[-DEPTH:]
                self._stacks.append((time.time(), [f"{part.filename}:{part.lineno} {part.name}" for part in stack]))
            if time.monotonic() - written > FLUSH_SECONDS:
                written = time.monotonic()
                self._flush()

    def _flush(self) -> None:
        samples, self._samples = self._samples, []
        stacks, self._stacks = self._stacks, []
        with self._file.open("a") as file:
            file.write(json.dumps({"samples": samples, "stacks": stacks}) + "\n")


def install(file: Path) -> None:
    """Let every `asyncio.run` be watched: migrating has one of its own before the server's."""
    run = asyncio.run

    def watched(main: Coroutine[Any, Any, Any], **options: Any) -> Any:
        return run(Probe(file).around(main), **options)

    asyncio.run = watched  # type: ignore[assignment]


if "LOOP_PROBE" in os.environ:
    install(Path(os.environ["LOOP_PROBE"]))
