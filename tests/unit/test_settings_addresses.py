"""Settings that are addresses, folders and files: what is wrong is one sentence, and what is right stays as it is."""

import re
from pathlib import Path
from typing import Any

import pytest

from likeness.data_dir import check_runs_file, prepare_data_dir
from likeness.database_url import tortoise_connection
from likeness.settings import Settings, SettingsError, load_settings
from likeness.single import only_process

POSTGRES = "must look like postgres://user:password@host:5432/name"
SQLITE = "must look like sqlite:///path/to/file"
WEB = "must begin with https:// or http:// and a host"
REDIS = "must look like redis://host:6379/0"
CLOUDINARY = "must look like cloudinary://key:secret@cloud"
ORIGIN = "must be * or look like https://example.com"

WRONG = [
    ("DATABASE_URL", "postgres://", POSTGRES),
    ("DATABASE_URL", "postgres://u:hush@h", POSTGRES),
    ("DATABASE_URL", "postgres://u:hush@h/", POSTGRES),
    ("DATABASE_URL", "postgres://u:hush@h:notaport/d", POSTGRES),
    ("DATABASE_URL", "postgres://u:hush@h:99999/d", POSTGRES),
    ("DATABASE_URL", "postgres://u:hush@h:0/d", POSTGRES),
    ("DATABASE_URL", "postgres:///d?port=hush", POSTGRES),
    ("DATABASE_URL", "postgres:///d?port=99999", POSTGRES),
    ("DATABASE_URL", "postgres://u:hush/hush@h/d", POSTGRES),
    ("DATABASE_URL", "postgres://u:hush#hush@h/d", POSTGRES),
    ("DATABASE_URL", "postgres://u:hush@hush@h/d", POSTGRES),
    ("DATABASE_URL", "postgres://u:[hush@h/d", POSTGRES),
    ("DATABASE_URL", "postgres://u:hush@h/d?sslmode", POSTGRES),
    ("DATABASE_URL", "postgres://u:hush@h/d?sslmode=on", "sslmode must be one of disable, allow, prefer, require, "),
    ("DATABASE_URL", "postgres://u:hush@h/d?ssl=disable", "ssl is none of application_name, host, "),
    ("DATABASE_URL", "sqlite://", SQLITE),
    ("DATABASE_URL", "sqlite:file", "must begin with postgres:// or sqlite://"),
    ("DATABASE_URL", "sqlite://:memory:", SQLITE),
    ("DATABASE_URL", "sqlite:///tmp/x?journal_mode=WAL", SQLITE),
    ("DATABASE_URL", "sqlite:///tmp/x#y", SQLITE),
    ("REDIS_URL", "127.0.0.1:6379", REDIS),
    ("REDIS_URL", "redis:6379", REDIS),
    ("REDIS_URL", "nonsense", REDIS),
    ("REDIS_URL", "http://127.0.0.1:6379", REDIS),
    ("REDIS_URL", "redis://:hush@127.0.0.1:port/1", REDIS),
    ("REDIS_URL", "redis://127.0.0.1:99999/1", REDIS),
    ("REDIS_URL", "redis://127.0.0.1:6379/name", REDIS),
    ("REDIS_URL", "unix://", REDIS),
    ("CORS_ORIGINS", "example.com", ORIGIN),
    ("CORS_ORIGINS", "https://a.example,localhost:3000", ORIGIN),
    ("CORS_ORIGINS", "https://a.example/path", ORIGIN),
    ("CORS_ORIGINS", "https://u@a.example", ORIGIN),
    ("CORS_ORIGINS", "https://a.example:99999", ORIGIN),
    ("CLOUDINARY_URL", "cloudinary://k:hush@[x", CLOUDINARY),
    ("PUBLIC_URL", "https://x.example?x=1", "must have no ? and no #"),
    ("PUBLIC_URL", "https://x.example#f", "must have no ? and no #"),
    ("PUBLIC_URL", "https://x.example:99999", WEB),
    ("PUBLIC_URL", "https://x example", WEB),
    ("PUBLIC_URL", "http://[x", WEB),
    ("JWT_JWKS_URL", "foo", WEB),
    ("JWT_JWKS_URL", "ftp://x.example/jwks", WEB),
]

RIGHT = [
    ("DATABASE_URL", "postgres://u:p%40%2F@[::1]:5432/d?application_name=x&sslmode=verify-full"),
    ("DATABASE_URL", "postgresql:///d?host=/run/postgresql&port=5433&user=u&password=p"),
    ("DATABASE_URL", "sqlite://relative.sqlite"),
    ("DATABASE_URL", "sqlite:///absolute/100%20.sqlite"),
    ("REDIS_URL", "redis://redis"),
    ("REDIS_URL", "redis://:p@h:6379/15?socket_timeout=3"),
    ("REDIS_URL", "rediss://u:p@h:6380/"),
    ("REDIS_URL", "unix:///run/redis.sock?db=1"),
    ("PUBLIC_URL", "https://x.example:8443/a/b"),
    ("JWT_JWKS_URL", "https://x.example/jwks?tenant=1"),
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the checkout, where a .env may lie."""
    monkeypatch.chdir(tmp_path)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """The settings with these variables set."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def assert_one_sentence(error: SettingsError, *, about: str) -> None:
    """It begins with the setting, fits on a line, ends with one full stop, and tells no secret."""
    assert re.fullmatch(rf"{re.escape(about)}[^\n]*(?<!\.)\.", str(error))
    assert "hush" not in str(error)


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG, ids=lambda part: part[:60])
def test_a_wrong_address(monkeypatch: pytest.MonkeyPatch, *, name: str, value: str, sentence: str) -> None:
    """It stops the start with a sentence that names the setting and shows no part of a password."""
    with pytest.raises(SettingsError) as wrong:
        load(monkeypatch, **{name: value})
    assert_one_sentence(wrong.value, about=f"{name}: {sentence}")


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_a_right_address(monkeypatch: pytest.MonkeyPatch, *, name: str, value: str) -> None:
    """It is kept as it is."""
    assert value == getattr(load(monkeypatch, **{name: value}), name.lower())


def test_origins_are_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """In small letters and without a slash; an app's own scheme is an origin too."""
    origins = load(
        monkeypatch, CORS_ORIGINS="https://A.example/,http://[::1]:3000,capacitor://localhost,*"
    ).cors_origins
    assert ("https://a.example", "http://[::1]:3000", "capacitor://localhost", "*") == origins


def test_a_wrong_cloudinary_url_beside_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts win, but Cloudinary's own client reads the address too and would not start."""
    parts = {"CLOUDINARY_CLOUD_NAME": "c", "CLOUDINARY_API_KEY": "k", "CLOUDINARY_API_SECRET": "s"}
    with pytest.raises(SettingsError) as wrong:
        load(monkeypatch, CLOUDINARY_URL="hush", **parts)
    assert_one_sentence(wrong.value, about="CLOUDINARY_URL: ")


def test_a_file_of_settings_that_is_no_text(tmp_path: Path) -> None:
    """It is one sentence too."""
    (tmp_path / ".env").write_bytes(b"PORT=4000\nDATA_DIR=\xff\xfe\n")
    with pytest.raises(SettingsError) as wrong:
        load_settings()
    assert_one_sentence(wrong.value, about=".env cannot be read as UTF-8 text")


def a_file(folder: Path) -> None:
    """The folder itself is a file."""
    folder.write_text("")


def a_file_for_temporary_files(folder: Path) -> None:
    """`tmp` in it is a file."""
    folder.mkdir()
    (folder / "tmp").write_text("")


def a_folder_for_the_lock(folder: Path) -> None:
    """`process.lock` in it is a folder."""
    (folder / "process.lock").mkdir(parents=True)


def garbage_for_runs(folder: Path) -> None:
    """`runs.sqlite` in it is no database."""
    folder.mkdir()
    (folder / "runs.sqlite").write_bytes(b"garbage" * 1000)


@pytest.mark.parametrize("make", [a_file, a_file_for_temporary_files, a_folder_for_the_lock, garbage_for_runs])
def test_a_folder_that_cannot_be_used(tmp_path: Path, make: Any) -> None:
    """The sentence names DATA_DIR."""
    make(tmp_path / "data")
    with pytest.raises(SettingsError) as wrong:
        start(Settings(_env_file=None, data_dir=tmp_path / "data"))
    assert_one_sentence(wrong.value, about="DATA_DIR: ")


@pytest.mark.parametrize("name", ["a\udcffb", "x" * 300], ids=["no text", "long"])
def test_a_folder_whose_name_cannot_be_used(tmp_path: Path, name: str) -> None:
    """The sentence names DATA_DIR."""
    with pytest.raises(SettingsError) as wrong:
        start(Settings(_env_file=None, data_dir=tmp_path / name))
    assert_one_sentence(wrong.value, about="DATA_DIR: ")


def test_a_database_in_a_folder_that_cannot_be(tmp_path: Path) -> None:
    """The sentence names DATABASE_URL."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError) as wrong:
        start(Settings(_env_file=None, data_dir=tmp_path, database_url=f"sqlite://{tmp_path}/file/x.sqlite"))
    assert_one_sentence(wrong.value, about="DATABASE_URL: ")


def start(settings: Settings) -> None:
    """What happens to the folder before anything is served."""
    with only_process(settings):
        prepare_data_dir(settings)
        check_runs_file(settings)


def test_tortoise_is_told_the_same() -> None:
    """%-codes mean signs everywhere in a PostgreSQL address, and `sslmode` has another name."""
    url = "postgres://us%40er:p%2Fw@host:5433/my%20db?sslmode=require&application_name=x"
    assert {
        "host": "host", "port": 5433, "user": "us@er", "password": "p/w", "database": "my db",
        "application_name": "x", "ssl": "require",
    } == tortoise_connection(url, foreign_keys=True)["credentials"]  # fmt: skip
    socket = tortoise_connection("postgres:///d?host=/run/postgresql", foreign_keys=True)["credentials"]
    assert {"host": "/run/postgresql", "database": "d"} == socket
