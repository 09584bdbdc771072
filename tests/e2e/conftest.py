"""A real server process for the end-to-end tests."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from likeness.sample_photos import draw_sample_photos
from likeness.settings import Settings

ROOT = Path(__file__).parents[2]
START_SECONDS = 60


@dataclass
class Server:
    """`python -m likeness serve` on a free port; killed and started again on the same data at will."""

    data_dir: Path
    environ: Mapping[str, str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until /readyz answers 200."""
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", "likeness", "serve"]
            # Not in the checkout, where a .env might name a real provider.
            folder = self.log.parent
            self.process = subprocess.Popen(command, env=self.environ, cwd=folder, stdout=output, stderr=output)
        end = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()}"
            assert time.monotonic() < end, f"the server is not ready:\n{self.log.read_text()}"
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and kill -9 when that is not enough."""
        self._end(signal.SIGTERM)

    def _end(self, by: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(by)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=5, verify=False).status_code == 200
        return False


@pytest.fixture
def server(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Callable[..., Server]]:
    """`server(**environ)` starts one; it ends with the test, and its log is shown when the test fails."""
    started: list[Server] = []

    def start(**environ: Any) -> Server:
        number, port = len(started), free_port()
        data_dir, log = tmp_path / f"data{number}", tmp_path / f"server{number}.log"
        data_dir.mkdir()
        shutil.copy(migrated_sqlite, data_dir / "likeness.sqlite")
        facts = {"DATA_DIR": data_dir, "PORT": port, "FAL_MODE": "sandbox", "SANDBOX_SPEED": 120, "FAL_POLL_SECONDS": 1}
        variables = foreign_environ() | {name: str(value) for name, value in (facts | environ).items()}
        started.append(Server(data_dir=data_dir, environ=variables, port=port, log=log))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()
        # Captured like the test's own output, which is shown when the test failed.
        sys.stdout.write(f"--- log of the server on port {one.port} ---\n{one.log.read_text(errors='replace')}\n")


def foreign_environ() -> dict[str, str]:
    """The environment without any of our settings, and with the checkout on Python's path."""
    ours = {name.upper() for name in Settings.model_fields} | {"FAL_API_KEY"}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))}


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight sample photos of 640 pixels."""
    return draw_sample_photos(tmp_path_factory.mktemp("photos"), count=8, side=640, seed=7)


def free_port() -> int:
    """A port outside the range that systems give to outgoing connections, bound once to see that it is free."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
