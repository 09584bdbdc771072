"""`likeness presets`: what an operator does without a deploy."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from likeness.cli.main import cli

NEW = ["add", "my_pop", "--name", "Pop", "--prompt", "{trigger}, pop art", "--description", "Pop."]


@pytest.fixture(autouse=True)
def _data_dir(migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of its own."""
    shutil.copy(migrated_sqlite, tmp_path / "likeness.sqlite")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    """A command with its output."""
    return CliRunner().invoke(cli, ["presets", *arguments])


def test_add_and_switch() -> None:
    """A new preset is listed, and one that is switched off stays off over the next start."""
    assert "my_pop is offered now.\n" == run(*NEW).output
    assert "ghibli_shock is offered no longer.\n" == run("disable", "ghibli_shock").output
    lines = {line.split()[1]: line.split()[0] for line in run("list").output.splitlines()}
    assert ("on", "off", "on") == (lines["my_pop"], lines["ghibli_shock"], lines["ghibli_tears"])
    assert "ghibli_shock is offered now.\n" == run("enable", "ghibli_shock").output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["disable", "nothing"], "There is no preset"),
        (["add", "ghibli_tears", *NEW[2:]], "keys never change"),
        (["add", "My Pop", *NEW[2:]], "small letters"),
        ([*NEW, "--model", "fal-ai/unknown"], "models must be among"),
        ([*NEW, *["--model", "fal-ai/fast-sdxl"] * 2], "models must be named once each."),
        ([*NEW, "--type", "LORA"], "LORA takes no preset."),
        ([*NEW, "--name", "\udcff\udcfe"], "name must have 1 to 100 characters"),
        ([*NEW, "--prompt", "{prompt}"], "prompt must have words besides"),
    ],
    ids=ascii,
)
def test_refusals(arguments: list[str], sentence: str) -> None:
    """One sentence and exit code 1."""
    done = run(*arguments)
    assert 1 == done.exit_code
    assert sentence in done.output
