"""Settings as a started process takes them: one sentence and exit code 2, or a server that works."""

from pathlib import Path

import pytest

from tests.e2e.crashing.process import Process, running, serving

WRONG = [("DATABASE_URL", "postgres://127.0.0.1"), ("REDIS_URL", "127.0.0.1:6379"), ("DATA_DIR", "/dev/null")]


async def assert_refused(process: Process, setting: str) -> None:
    """It ends by itself with exit code 2, and its last words are a sentence about this setting."""
    process.launch()
    assert 2 == await process.ended()
    sentence = process.log.read_text().splitlines()[-1]
    assert sentence.startswith(f"likeness: {setting}")
    assert sentence.endswith(".")
    assert "Traceback" not in process.log.read_text()


@pytest.mark.parametrize(("name", "value"), WRONG)
async def test_a_wrong_setting_stops_a_server(tmp_path: Path, name: str, value: str) -> None:
    """With nothing but the sentence."""
    process = serving(tmp_path, **{name: value})
    await assert_refused(process, f"{name}: ")
    assert 1 == len(process.log.read_text().splitlines())


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [("doctor", "REDIS_URL", "nonsense"), ("migrate", "DATA_DIR", "/dev/null"), ("sandbox", "DATA_DIR", "/dev/null")],
)
async def test_a_wrong_setting_stops_other_commands(tmp_path: Path, command: str, name: str, value: str) -> None:
    """As it stops a server."""
    about = "DATABASE_URL, DATA_DIR: " if command == "migrate" else f"{name}: "
    await assert_refused(serving(tmp_path, "likeness", command, **{name: value}), about)


async def test_a_broken_database_is_where_the_setting_says(tmp_path: Path) -> None:
    """Without DATABASE_URL the sentence names DATA_DIR."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "likeness.sqlite").write_bytes(b"garbage" * 1000)
    await assert_refused(serving(tmp_path), "DATA_DIR: the database cannot be used (file is not a database)")


async def test_signs_of_addresses_in_a_folder_are_signs_of_its_name(tmp_path: Path) -> None:
    """`?`, `#` and %-codes: the rows, the runs and the temporary files are where DATA_DIR says."""
    folder = tmp_path / "C#, what? 100%20"
    folder.mkdir()
    async with running(serving(folder)):
        assert {"likeness.sqlite", "runs.sqlite", "tmp"} <= {path.name for path in (folder / "data").iterdir()}
    assert [folder] == list(tmp_path.iterdir())


async def test_the_ssl_mode_of_a_database_is_understood_by_all(tmp_path: Path, postgres_url: str) -> None:
    """Migrations, rows and durable runs have a driver each."""
    async with running(serving(tmp_path, DATABASE_URL=f"{postgres_url}?sslmode=prefer")):
        assert not (tmp_path / "data" / "likeness.sqlite").exists()
