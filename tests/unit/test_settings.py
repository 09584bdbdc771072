"""Settings: defaults that need nothing, and one clear sentence for everything that does not go together."""

import re
from pathlib import Path

import pytest

from likeness.settings import Settings, SettingsError, load_settings

SECRET = "s" * 32


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the checkout, where a .env may lie."""
    monkeypatch.chdir(tmp_path)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """The settings with these variables set."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_nothing_is_required(tmp_path: Path) -> None:
    """Without any variable: this machine only, SQLite and files under ./data, the sandbox, one local user."""
    settings = load_settings()
    assert ("127.0.0.1", 3001, Path("data")) == (settings.host, settings.port, settings.data_dir)
    assert f"sqlite://{tmp_path}/data/likeness.sqlite" == settings.database
    assert (True, True, False, None) == (
        settings.is_sqlite, settings.simulated, settings.signs_in, settings.cloudinary,
    )  # fmt: skip
    assert "http://127.0.0.1:3001" == settings.base_url
    assert (30, 2, 20) == (settings.daily_credits, settings.credits_per_generation, settings.credits_per_training)
    assert (5, 20, 10_485_760, 512) == (
        settings.min_photos, settings.max_photos, settings.max_photo_bytes, settings.min_photo_side,
    )  # fmt: skip
    assert (24, 1, 5) == (settings.archive_ttl_hours, settings.sandbox_speed, settings.fal_poll_seconds)
    assert "stefna/generated" == settings.cloudinary_folder


def test_empty_variables_are_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files and CI set variables to nothing."""
    names = [name.upper() for name in Settings.model_fields] + ["FAL_API_KEY"]
    assert load_settings() == load(monkeypatch, **dict.fromkeys(names, ""))


def test_a_file_of_settings_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` in the working folder; what it holds besides is left alone."""
    (tmp_path / ".env").write_text("PORT=4000\nDAILY_CREDITS=7\nPOSTGRES_PASSWORD=x\n")
    settings = load(monkeypatch, PORT="5000")
    assert (5000, 7) == (settings.port, settings.daily_credits)


@pytest.mark.parametrize("name", ["FAL_KEY", "FAL_API_KEY", "fal_key"])
def test_both_names_of_the_key_work(monkeypatch: pytest.MonkeyPatch, *, name: str) -> None:
    """And the sandbox is off then."""
    settings = load(monkeypatch, **{name: "id:secret"})
    assert settings.fal_key is not None
    assert ("id:secret", False) == (settings.fal_key.get_secret_value(), settings.simulated)


@pytest.mark.parametrize(
    ("mode", "key", "simulated"),
    [("auto", "", True), ("auto", "k", False), ("sandbox", "k", True), ("real", "", False), ("real", "k", False)],
)
def test_the_mode_decides_about_the_sandbox(
    monkeypatch: pytest.MonkeyPatch, *, mode: str, key: str, simulated: bool
) -> None:
    """`auto` looks at the key, the others do not."""
    assert simulated == load(monkeypatch, FAL_MODE=mode, FAL_KEY=key).simulated


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the settings' own text nor in an error about them."""
    secret = {
        "FAL_KEY": "hush-1", "JWT_SECRET": "hush-2" * 8, "TELEGRAM_BOT_TOKEN": "hush-3",
        "CLOUDINARY_URL": "cloudinary://k:hush-4@c", "CLOUDINARY_API_SECRET": "hush-5",
        "CLOUDINARY_API_KEY": "k", "CLOUDINARY_CLOUD_NAME": "c",
    }  # fmt: skip
    settings = load(monkeypatch, **secret)
    assert "hush" not in f"{settings!r} {settings}"
    with pytest.raises(SettingsError) as wrong:
        load(monkeypatch, JWT_SECRET="hush-short")
    assert "hush" not in str(wrong.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_sign_in(monkeypatch: pytest.MonkeyPatch, *, host: str) -> None:
    """Nobody else reaches it."""
    assert host == load(monkeypatch, HOST=host).host


@pytest.mark.parametrize(
    "sign_in",
    [{"JWT_SECRET": SECRET}, {"JWT_JWKS_URL": "https://x.example/jwks"}, {"TELEGRAM_BOT_TOKEN": "1:a"}],
    ids=lambda sign_in: next(iter(sign_in)),
)
def test_any_sign_in_opens_other_addresses(monkeypatch: pytest.MonkeyPatch, *, sign_in: dict[str, str]) -> None:
    """One way to sign in is enough."""
    settings = load(monkeypatch, HOST="0.0.0.0", **sign_in)
    assert (True, "0.0.0.0") == (settings.signs_in, settings.host)


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "open without sign-in": ({"HOST": "0.0.0.0"}, "HOST=0.0.0.0 needs JWT_SECRET, JWT_JWKS_URL or TELEGRAM_BOT_TOKEN"),
    "open name": ({"HOST": "example.com"}, "HOST=example.com needs"),
    "port 0": ({"PORT": "0"}, "PORT: Input should be greater than or equal to 1"),
    "port text": ({"PORT": "http"}, "PORT: Input should be a valid integer"),
    "port above": ({"PORT": "65536"}, "PORT: "),
    "public url": ({"PUBLIC_URL": "likeness.example"}, "PUBLIC_URL: must begin with https:// or http://"),
    "public url without host": ({"PUBLIC_URL": "https://"}, "PUBLIC_URL: must begin with https:// or http://"),
    "database": ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL: must begin with postgres:// or sqlite://"),
    "mode": ({"FAL_MODE": "fake"}, "FAL_MODE: "),
    "poll": ({"FAL_POLL_SECONDS": "0"}, "FAL_POLL_SECONDS: "),
    "cloudinary, one part": ({"CLOUDINARY_CLOUD_NAME": "c"}, "CLOUDINARY_API_SECRET must be set together"),
    "cloudinary, two parts": (
        {"CLOUDINARY_CLOUD_NAME": "c", "CLOUDINARY_API_KEY": "k"},
        "CLOUDINARY_CLOUD_NAME, CLOUDINARY_API_KEY and CLOUDINARY_API_SECRET must be set together",
    ),
    "cloudinary url": (
        {"CLOUDINARY_URL": "https://k:s@c"},
        "CLOUDINARY_URL: must look like cloudinary://key:secret@cloud",
    ),
    "cloudinary url without secret": ({"CLOUDINARY_URL": "cloudinary://k@c"}, "CLOUDINARY_URL: must look like"),
    "cloudinary url without cloud": ({"CLOUDINARY_URL": "cloudinary://k:s@"}, "CLOUDINARY_URL: must look like"),
    "two kinds of JWT": (
        {"JWT_SECRET": SECRET, "JWT_JWKS_URL": "https://x.example"},
        "JWT_SECRET and JWT_JWKS_URL cannot both be set",
    ),
    "short secret": ({"JWT_SECRET": "s" * 31}, "JWT_SECRET must have at least 32 bytes"),
    "issuer alone": ({"JWT_ISSUER": "us"}, "JWT_ISSUER and JWT_AUDIENCE need JWT_SECRET or JWT_JWKS_URL"),
    "audience alone": ({"JWT_AUDIENCE": "us"}, "JWT_ISSUER and JWT_AUDIENCE need"),
    "audience with Telegram": ({"JWT_AUDIENCE": "us", "TELEGRAM_BOT_TOKEN": "1:a"}, "JWT_ISSUER and JWT_AUDIENCE need"),
    "photos crossed": ({"MIN_PHOTOS": "6", "MAX_PHOTOS": "5"}, "MIN_PHOTOS must not be above MAX_PHOTOS"),
    "default crossed": ({"MIN_PHOTOS": "21"}, "MIN_PHOTOS must not be above MAX_PHOTOS"),
    "no photos": ({"MIN_PHOTOS": "0"}, "MIN_PHOTOS: "),
    "negative credits": ({"DAILY_CREDITS": "-1"}, "DAILY_CREDITS: "),
    "credits in fractions": ({"CREDITS_PER_TRAINING": "1.5"}, "CREDITS_PER_TRAINING: "),
    "tiny photos": ({"MAX_PHOTO_BYTES": "1"}, "MAX_PHOTO_BYTES: "),
    "no pixels": ({"MIN_PHOTO_SIDE": "0"}, "MIN_PHOTO_SIDE: "),
    "no time": ({"ARCHIVE_TTL_HOURS": "0"}, "ARCHIVE_TTL_HOURS: "),
    "not a time": ({"ARCHIVE_TTL_HOURS": "nan"}, "ARCHIVE_TTL_HOURS: "),
    "alias without a name": ({"FAL_MODEL_ALIASES": "fal-ai/fast-sdxl"}, "FAL_MODEL_ALIASES: must look like fal-ai/a="),
    "alias of nothing": ({"FAL_MODEL_ALIASES": "fal-ai/x=fal-ai/y"}, "FAL_MODEL_ALIASES: fal-ai/x is none of fal-ai/"),
    "endless speed": ({"SANDBOX_SPEED": "inf"}, "SANDBOX_SPEED: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_stops_the_start_with_one_sentence(monkeypatch: pytest.MonkeyPatch, *, case: str) -> None:
    """It names the setting, fits on a line and ends with one full stop."""
    variables, sentence = WRONG[case]
    with pytest.raises(SettingsError) as wrong:
        load(monkeypatch, **variables)
    assert sentence in str(wrong.value)
    assert re.fullmatch(r"[^\n]+[^.]\.", str(wrong.value))


def test_legal_extremes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One photo, no price and a trillion credits are settings that people use."""
    settings = load(
        monkeypatch, MIN_PHOTOS="1", MAX_PHOTOS="1", DAILY_CREDITS=str(10**12), CREDITS_PER_TRAINING="0",
        CREDITS_PER_GENERATION="0", MIN_PHOTO_SIDE="1", SANDBOX_SPEED="10000",
    )  # fmt: skip
    assert (1, 1, 10**12, 0) == (
        settings.min_photos, settings.max_photos, settings.daily_credits, settings.credits_per_training,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("https://a.example", ("https://a.example",)),
        (" https://a.example , http://b.example:3000,", ("https://a.example", "http://b.example:3000")),
        (",", ()),
    ],
)
def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch, *, value: str, origins: tuple[str]) -> None:
    """Blanks and empty parts do not count."""
    assert origins == load(monkeypatch, CORS_ORIGINS=value).cors_origins


@pytest.mark.parametrize("url", ["https://likeness.example", "https://likeness.example/"])
def test_the_public_url_has_no_slash_at_its_end(monkeypatch: pytest.MonkeyPatch, *, url: str) -> None:
    """Paths are joined to it."""
    settings = load(monkeypatch, PUBLIC_URL=url)
    assert ("https://likeness.example", "https://likeness.example") == (settings.public_url, settings.base_url)


def test_an_ipv6_host_stands_in_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise its colons would end the host."""
    assert "http://[::1]:3001" == load(monkeypatch, HOST="::1").base_url


@pytest.mark.parametrize("url", ["postgres://u:p@h/d", "postgresql://u:p@h/d"])
def test_postgres_has_two_names(monkeypatch: pytest.MonkeyPatch, *, url: str) -> None:
    """Both schemes mean the same."""
    settings = load(monkeypatch, DATABASE_URL=url)
    assert (url, False) == (settings.database, settings.is_sqlite)


def test_cloudinary_from_a_url_or_from_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both give the same account; the parts win over the URL."""
    url = load(monkeypatch, CLOUDINARY_URL="cloudinary://key:secret@cloud?upload_prefix=https://up.example").cloudinary
    account = {"cloud_name": "cloud", "api_key": "key", "api_secret": "secret"}
    assert account | {"upload_prefix": "https://up.example"} == url
    parts = {"CLOUDINARY_CLOUD_NAME": "other", "CLOUDINARY_API_KEY": "k", "CLOUDINARY_API_SECRET": "s"}
    expected = {"cloud_name": "other", "api_key": "k", "api_secret": "s", "upload_prefix": None}
    assert expected == load(monkeypatch, **parts).cloudinary


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 20 * 10_485_760 + 1024**2),
        ({"MAX_PHOTOS": "5", "MAX_PHOTO_BYTES": "2000"}, 50 * 1024**2),
        ({"MAX_ARCHIVE_BYTES": "4096"}, 4096),
    ],
    ids=str,
)
def test_the_largest_archive_holds_all_legal_photos(
    monkeypatch: pytest.MonkeyPatch, *, variables: dict[str, str], expected: int
) -> None:
    """Never less than 50 MiB, unless somebody says so."""
    assert expected == load(monkeypatch, **variables).largest_archive
