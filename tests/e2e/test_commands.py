"""The commands train, generate and demo as a person types them."""

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import jwt
import psutil
import pytest
from PIL import Image

from likeness.client.api import Client
from likeness.client.errors import ClientError
from tests.e2e.conftest import Server, foreign_environ, free_port

SECRET = secrets.token_hex(32)


@pytest.fixture
def likeness(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """`likeness(*arguments, **environ)` runs `python -m likeness` in an empty folder."""

    def run(*arguments: object, **environ: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "likeness", *map(str, arguments)]
        return subprocess.run(
            command,
            env=foreign_environ() | environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


def test_train_and_generate(
    server: Callable[..., Server], likeness: Callable[..., "subprocess.CompletedProcess[str]"], photos: list[Path],
    tmp_path: Path,
) -> None:  # fmt: skip
    """A folder of photos, a model, two pictures by its name, on a server that asks for a token."""
    running = server(JWT_SECRET=SECRET)
    token = jwt.encode({"sub": "anna", "exp": time.time() + 600}, SECRET, algorithm="HS256")
    where = ("--server", running.url, "--token", token)
    trained = likeness(
        "train", photos[0].parent, "--name", "Anna", "--trigger-word", "ANNA_X", "--quality", "economy", *where
    )
    assert (0, "") == (trained.returncode, trained.stderr), trained.stdout
    assert "100.0 %  Training completed" in trained.stdout
    assert "Trigger word: ANNA_X" in trained.stdout
    made = likeness("generate", "a portrait", "--model", "Anna", "--count", 2, "--out", "drawn", *where)
    assert (0, "") == (made.returncode, made.stderr), made.stdout
    paths = [tmp_path / line for line in made.stdout.splitlines()[-2:]]
    assert 2 == len({pixels(path) for path in paths})
    refused = likeness("generate", "a portrait", "--model", "Anna", "--server", running.url, "--token", "wrong")
    assert 1 == refused.returncode
    assert refused.stderr.startswith("Error: ")
    assert "Traceback" not in refused.stderr


def pixels(path: Path) -> bytes:
    """A picture, decoded."""
    with Image.open(path) as image:
        return image.tobytes()


async def test_refused_websocket(server: Callable[..., Server]) -> None:
    """A bad token ends a subscription at once, instead of being tried again."""
    async with Client(server(JWT_SECRET=SECRET).url, "wrong") as client:
        with pytest.raises(ClientError) as caught:
            await anext(aiter(client.follow_training("x")))
    assert "CLOSED_4403" == caught.value.code


def test_no_server(likeness: Callable[..., "subprocess.CompletedProcess[str]"], photos: list[Path]) -> None:
    """One sentence that says what to do, and exit code 3."""
    address = f"http://127.0.0.1:{free_port()}"
    done = likeness("train", photos[0], "--name", "Anna", "--server", address)
    sentence = f"Error: Nothing answers at {address}. Start a server with `./run serve`, or name one with --server.\n"
    assert (3, sentence) == (done.returncode, done.stderr)


def test_demo(likeness: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path) -> None:
    """The last line is the path of a real picture; sign-in of the environment does not matter; nothing runs on."""
    (tmp_path / ".env").write_text(f"JWT_SECRET={SECRET}\nDATA_DIR=kept\n")
    done = likeness("demo", "--speed", 240)
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    lines = done.stdout.splitlines()
    picture = Path(lines[-1])
    assert tmp_path / "kept" / "demo" == picture.parent
    with Image.open(picture) as image:
        assert min(image.size) >= 256
    assert any("SIMULATED" in line for line in lines)
    assert [] == servers_of(tmp_path / "kept")


def test_demo_when_the_server_dies(likeness: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    """The server's own last words are shown, with exit code 3."""
    done = likeness("demo", "--data-dir", "kept", MIN_PHOTOS="50")
    assert 3 == done.returncode, done.stdout
    assert done.stderr.startswith("Error: The server ended with code 2; its last lines, from ")
    assert "MIN_PHOTOS must not be above MAX_PHOTOS" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM in the middle stop the server, too, without a traceback."""
    command = [sys.executable, "-m", "likeness", "demo", "--data-dir", "kept"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A run of the tests that a shell put in the background ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, env=foreign_environ(), cwd=tmp_path, **pipes) as demo:
        for line in demo.stdout:
            if "Uploaded" in line:
                assert 1 == len(servers_of(tmp_path / "kept"))
                demo.send_signal(number)
        errors = demo.stderr.read()
    assert 0 != demo.returncode
    assert "Traceback" not in errors
    assert [] == servers_of(tmp_path / "kept")


def servers_of(data_dir: Path) -> list[int]:
    """The processes that serve from a data folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "serve" in process.cmdline() and str(data_dir) == process.environ().get("DATA_DIR"):
                found.append(process.pid)
    return found
