"""The commands that use the client: what they take, what they print, how they end."""

from io import StringIO
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from likeness.cli import generate, train
from likeness.cli.demo import demo_environ
from likeness.cli.generate import picture_name
from likeness.cli.progress import LiveProgress
from likeness.cli.reach import Failure, check_ended_well, run, server_address
from likeness.cli.train import expand_photos
from likeness.client.errors import ClientError, ServerUnreachable
from likeness.settings import Settings


def event(message: str, percent: float | None, status: str = "TRAINING", **facts: Any) -> dict[str, Any]:
    """A progress event."""
    event = {"status": status, "message": message, "stage": "TRAINING", **facts}
    return event if percent is None else event | {"percent": percent}


def shown(*events: dict[str, Any], terminal: bool = False, labels: tuple[str, ...] = ()) -> str:
    """What `LiveProgress` writes."""
    out = StringIO()
    with LiveProgress(Console(file=out, force_terminal=terminal, width=120)) as progress:
        for index, one in enumerate(events):
            progress.show(one, label=labels[index] if labels else "")
    return out.getvalue()


def test_plain_lines() -> None:
    """A line for a new message or for 5 % more; counting steps is no new message."""
    steps = [
        event(f"Training step {step}/100", 60 + 0.3 * step, step=step, totalSteps=100, etaSeconds=75)
        for step in (0, 1, 16, 17, 18)
    ]
    lines = shown(event("Packing", 35), event("Packing", 37), *steps, event("Done", 100, "COMPLETED")).splitlines()
    assert [
        " 35.0 %  Packing",
        " 60.0 %  Training step 0/100  1:15 left",
        " 65.1 %  Training step 17/100  1:15 left",
        "100.0 %  Done",
    ] == lines


def test_plain_lines_of_several_jobs() -> None:
    """Each line says whose it is, and markup in a message is only text."""
    events = event("[red]x[/red]", None, "PENDING"), event("Image ready", None, "COMPLETED")
    assert ["A: [red]x[/red]", "B: 100.0 %  Image ready"] == shown(*events, labels=("A", "B")).splitlines()


def test_bar_on_a_terminal() -> None:
    """The bar shows percent, message, step and remaining time."""
    drawn = shown(event("Training [x]", 75.5, step=50, totalSteps=100, etaSeconds=9), terminal=True)
    assert all(text in drawn for text in ("━", " 75.5 %", "Training [x]", "step 50/100, 0:09 left"))


def test_expand_photos(tmp_path: Path) -> None:
    """Folders, patterns and files, each file once, pictures only from a folder."""
    for name in ("b.jpg", "a.PNG", "notes.txt"):
        (tmp_path / name).touch()
    given = [str(tmp_path / "b.jpg"), str(tmp_path / "*.jpg"), str(tmp_path), str(tmp_path / "notes.txt")]
    assert ["b.jpg", "a.PNG", "notes.txt"] == [path.name for path in expand_photos(given)]


@pytest.mark.parametrize("text", ["nothing.jpg", "*.jpg", "empty"])
def test_expand_nothing(tmp_path: Path, text: str) -> None:
    """What leads to no photo is wrong usage."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(click.UsageError, match="There are no photos at"):
        expand_photos([str(tmp_path / text)])


@pytest.mark.parametrize(
    "arguments",
    [[], ["x.jpg"], ["--name", "Me"], [__file__, "--name", "Me", "--steps", "0"],
     [__file__, "--name", "Me", "--steps", "9", "--quality", "economy"]],
)  # fmt: skip
def test_train_usage(arguments: list[str]) -> None:
    """Wrong usage ends with 2 before anything is sent."""
    assert 2 == CliRunner().invoke(train.command, arguments).exit_code


@pytest.mark.parametrize("arguments", [[], ["prompt"], ["prompt", "--model", "m", "--count", "5"]])
def test_generate_usage(arguments: list[str]) -> None:
    """Wrong usage ends with 2 before anything is sent."""
    assert 2 == CliRunner().invoke(generate.command, arguments).exit_code


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (ServerUnreachable("Nothing answers."), 3, "Nothing answers. Start one."),
        (ClientError("Too dear.", code="INSUFFICIENT_CREDITS"), 1, "Too dear."),
    ],
)
def test_exit_codes(error: ClientError, code: int, sentence: str) -> None:
    """An error of the client is one sentence and an exit code."""

    async def main() -> None:
        raise error

    with pytest.raises(Failure) as caught:
        run(main(), hint="Start one.")
    assert (code, sentence) == (caught.value.exit_code, caught.value.message)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:3001"),
        ("0.0.0.0", "http://127.0.0.1:3001"),
        ("::", "http://[::1]:3001"),
        ("likeness.test", "http://likeness.test:3001"),
    ],
)
def test_server_address(host: str, expected: str) -> None:
    """A server that listens everywhere is reached over loopback."""
    assert expected == server_address(Settings(host=host, port=3001, jwt_secret="s" * 32, _env_file=None))


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        (
            {"status": "FAILED", "error": {"message": "The provider is down.", "code": "PROVIDER_UNAVAILABLE"}},
            "The training did not complete: The provider is down.",
        ),
        ({"status": "CANCELLED", "error": None}, "The training did not complete: it is CANCELLED."),
    ],
)
def test_a_job_that_failed(job: dict[str, Any], sentence: str) -> None:
    """The reason of the server is the sentence of the command."""
    with pytest.raises(ClientError) as caught:
        check_ended_well(job, what="training")
    assert sentence == caught.value.message


def test_picture_name() -> None:
    """Made of the model's name; what a file name should not hold is left out."""
    generation = {"id": "R2VuZXJhdGlvbjo0Mg==", "imageUrl": "https://x.test/a/b.jpg?x=1"}
    assert "my-portrait-2025-JhdGlvbjo0Mg.jpg" == picture_name("My ../Portrait 2025", generation)
    assert "picture-JhdGlvbjo0Mg.jpg" == picture_name("../", generation)
    assert picture_name("Me", generation | {"imageUrl": "https://x.test/a"}).endswith(".png")


def test_demo_environ() -> None:
    """The key and everything else stay; sign-in and the public address do not."""
    given = {"FAL_KEY": "k", "JWT_SECRET": "s", "PUBLIC_URL": "https://x.test", "HOME": "h", "DATA_DIR": "old"}
    expected = {"FAL_KEY": "k", "HOME": "h", "DATA_DIR": "new", "SANDBOX_SPEED": "60", "FAL_POLL_SECONDS": "1"}
    assert expected == demo_environ(given, data_dir=Path("new"), speed=60.0)
    assert "9" == demo_environ(given | {"FAL_POLL_SECONDS": "9"}, data_dir=Path("new"), speed=60.0)["FAL_POLL_SECONDS"]
