"""Every setting: its variable, its default and one line of help. Nothing is required."""

import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from likeness.database_url import checked_database_url, sqlite_file
from likeness.settings_checks import (
    checked_origin,
    checked_public_url,
    checked_redis_url,
    checked_web_address,
    cloudinary_account,
)
from services.generators import ENDPOINTS

CHECKS = {
    "public_url": checked_public_url,
    "database_url": checked_database_url,
    "redis_url": checked_redis_url,
    "jwt_jwks_url": checked_web_address,
}

RETIRED = {
    "AIML_API_KEY": "AIML is gone; pictures come from fal.ai (FAL_KEY).",
    "AIML_API_URL": "AIML is gone; pictures come from fal.ai (FAL_KEY).",
}


class SettingsError(Exception):
    """A setting that stops the start, in one sentence."""


class Settings(BaseSettings):
    """All settings; a feature is off, or on with all its keys."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address to listen on; any other than loopback needs a sign-in.")
    port: int = Field(3001, ge=1, le=65535, description="Port to listen on.")
    public_url: str | None = Field(
        None, description="Where fal's webhooks and asset links can reach us; without it polling does all."
    )
    data_dir: Path = Field(Path("data"), description="SQLite files, local assets, the sandbox and temporary files.")
    database_url: str | None = Field(None, description="`postgres://...` at scale; SQLite under DATA_DIR when absent.")
    redis_url: str | None = Field(
        None, description="Redis or Valkey, the bus between processes; needed when more than one serves."
    )
    fal_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("FAL_KEY", "FAL_API_KEY"),
        description="Key of fal.ai (FAL_API_KEY works too); without it the sandbox simulates.",
    )
    fal_mode: Literal["auto", "sandbox", "real"] = Field(
        "auto", description="`sandbox` or `real` force the provider; `auto` is real when FAL_KEY is set."
    )
    fal_poll_seconds: float = Field(
        5, ge=0.2, le=60, description="Seconds between looks at a watched job; longer when nobody watches."
    )
    fal_private_addresses: bool = Field(
        False, description="Fetch outputs from private addresses too, as a stand-in for fal has them."
    )
    fal_webhook_user_id: str | None = Field(
        None, description="Your fal user id: webhooks about other users' jobs are refused; any user's when absent."
    )
    fal_model_aliases: Annotated[dict[str, str], NoDecode] = Field(
        {}, description="More of `fal-ai/realistic-vision-v5=fal-ai/realistic-vision`: our name for a model, and fal's."
    )
    cloudinary_url: SecretStr | None = Field(
        None, description="`cloudinary://key:secret@cloud`; local files when absent."
    )
    cloudinary_cloud_name: str | None = Field(None, description="Instead of CLOUDINARY_URL, with the next two.")
    cloudinary_api_key: str | None = Field(None, description="Instead of CLOUDINARY_URL.")
    cloudinary_api_secret: SecretStr | None = Field(None, description="Instead of CLOUDINARY_URL.")
    cloudinary_folder: str = Field("stefna/generated", description="Cloudinary folder of generated pictures.")
    jwt_secret: SecretStr | None = Field(None, description="HS256 secret of bearer tokens (32 bytes or more).")
    jwt_jwks_url: str | None = Field(None, description="JWKS address of bearer tokens, instead of JWT_SECRET.")
    jwt_issuer: str | None = Field(None, description="Required `iss` of bearer tokens.")
    jwt_audience: str | None = Field(None, description="Required `aud` of bearer tokens.")
    telegram_bot_token: SecretStr | None = Field(None, description="Verifies Telegram Mini App initData.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated origins of browsers elsewhere, for HTTP and websocket alike."
    )
    daily_credits: int = Field(30, ge=0, le=10**12, description="Credits a user may spend each UTC day.")
    credits_per_generation: int = Field(2, ge=0, le=10**9, description="Price of one image.")
    credits_per_training: int = Field(20, ge=0, le=10**9, description="Price of one training.")
    min_photos: int = Field(5, ge=1, le=100, description="Fewest photos of a training.")
    max_photos: int = Field(20, ge=1, le=100, description="Most photos of a training and of one upload.")
    max_photo_bytes: int = Field(10_485_760, ge=1024, le=10**9, description="Largest photo file.")
    max_archive_bytes: int | None = Field(
        None, ge=1024, description="Largest uploaded ZIP; MAX_PHOTOS x MAX_PHOTO_BYTES, at least 50 MiB, when absent."
    )
    min_photo_side: int = Field(512, ge=1, le=10_000, description="Shortest side of a photo in pixels.")
    archive_ttl_hours: float = Field(24, gt=0, le=8760, description="Life of a training ZIP.")
    sandbox_speed: float = Field(
        1, gt=0, le=10_000, description="The sandbox's clock: 60 makes a ten-minute training take ten seconds."
    )

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(checked_origin, value))

    @field_validator("fal_model_aliases", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        """`a=b,c=d`, or JSON."""
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("{"):
            return json.loads(value)
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if not all(ours.strip() and theirs.strip() for ours, _, theirs in pairs):
            raise ValueError("must look like fal-ai/a=fal-ai/b,fal-ai/c=fal-ai/d")
        return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}

    @field_validator("fal_model_aliases")
    @classmethod
    def _known_models(cls, value: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(value.keys() - ENDPOINTS):
            raise ValueError(f"{unknown[0]} is none of {', '.join(sorted(ENDPOINTS))}")
        return value

    @field_validator("public_url", "database_url", "redis_url", "jwt_jwks_url")
    @classmethod
    def _addresses(cls, value: str | None, info: ValidationInfo) -> str | None:
        return CHECKS[str(info.field_name)](value) if value else value

    @field_validator("cloudinary_url")
    @classmethod
    def _account(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            cloudinary_account(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _whole_features(self) -> "Settings":
        parts = [self.cloudinary_cloud_name, self.cloudinary_api_key, self.cloudinary_api_secret]
        if any(parts) and not all(parts):
            names = "CLOUDINARY_CLOUD_NAME, CLOUDINARY_API_KEY and CLOUDINARY_API_SECRET"
            raise ValueError(f"{names} must be set together")
        if self.jwt_secret and self.jwt_jwks_url:
            raise ValueError("JWT_SECRET and JWT_JWKS_URL cannot both be set")
        if self.jwt_secret and len(self.jwt_secret.get_secret_value().encode()) < 32:
            raise ValueError("JWT_SECRET must have at least 32 bytes (RFC 7518 section 3.2)")
        if (self.jwt_issuer or self.jwt_audience) and not (self.jwt_secret or self.jwt_jwks_url):
            raise ValueError("JWT_ISSUER and JWT_AUDIENCE need JWT_SECRET or JWT_JWKS_URL")
        if self.min_photos > self.max_photos:
            raise ValueError("MIN_PHOTOS must not be above MAX_PHOTOS")
        if not self.signs_in and not _is_loopback(self.host):
            raise ValueError(f"HOST={self.host} needs JWT_SECRET, JWT_JWKS_URL or TELEGRAM_BOT_TOKEN")
        return self

    @property
    def signs_in(self) -> bool:
        """Whether users must sign in; otherwise one local user owns everything."""
        return bool(self.jwt_secret or self.jwt_jwks_url or self.telegram_bot_token)

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite://{self.data_dir.absolute() / 'likeness.sqlite'}"

    @property
    def database_setting(self) -> str:
        """The name of the setting that says where the database is."""
        return "DATABASE_URL" if self.database_url else "DATA_DIR"

    @property
    def sqlite_file(self) -> Path | None:
        """The database's file; None for PostgreSQL."""
        return sqlite_file(self.database)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of this machine."""
        return self.sqlite_file is not None

    @property
    def simulated(self) -> bool:
        """Whether the sandbox stands in for fal."""
        return self.fal_mode == "sandbox" or (self.fal_mode == "auto" and self.fal_key is None)

    @property
    def largest_archive(self) -> int:
        """Bytes of the largest ZIP taken: all legal photos must fit (and seed 004's 50 MiB)."""
        return self.max_archive_bytes or max(50 * 1024**2, self.max_photos * self.max_photo_bytes + 1024**2)

    @property
    def base_url(self) -> str:
        """Where clients reach us."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    @property
    def cloudinary(self) -> Mapping[str, Any] | None:
        """cloud_name, api_key, api_secret and upload_prefix, or None for local files."""
        if self.cloudinary_cloud_name and self.cloudinary_api_secret:
            return {
                "cloud_name": self.cloudinary_cloud_name, "api_key": self.cloudinary_api_key,
                "api_secret": self.cloudinary_api_secret.get_secret_value(),
                "upload_prefix": os.environ.get("CLOUDINARY_UPLOAD_PREFIX"),
            }  # fmt: skip
        return cloudinary_account(self.cloudinary_url.get_secret_value()) if self.cloudinary_url else None


def load_settings() -> Settings:
    """Read the environment and `.env`. Raises `SettingsError` with one sentence about what is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper() + ": " if first["loc"] else ""
        raise SettingsError(f"{name}{first['msg'].removeprefix('Value error, ')}.") from None
    except (UnicodeDecodeError, OSError) as error:
        raise SettingsError(f".env cannot be read as UTF-8 text ({error}).") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
