"""Checks of settings that are addresses. Each raises `ValueError` with what is wrong, and never with the value."""

from collections.abc import Collection
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

WEB: Final = ("http", "https")


def checked_public_url(url: str) -> str:
    """The address without a slash at its end: paths are joined to it."""
    if not _web(url):
        raise ValueError("must begin with https:// or http:// and a host")
    if {"?", "#"} & set(url):
        raise ValueError("must have no ? and no #")
    return url.rstrip("/")


def checked_web_address(url: str) -> str:
    """The same address."""
    if not _web(url):
        raise ValueError("must begin with https:// or http:// and a host")
    return url


def checked_origin(origin: str) -> str:
    """`*`, or an origin as browsers send it: small letters, and no slash at its end."""
    origin = origin.lower().removesuffix("/")
    parts = _split(origin)
    is_origin = parts and parts.hostname and not parts.username and origin == f"{parts.scheme}://{parts.netloc}"
    if origin != "*" and not is_origin:
        raise ValueError("must be * or look like https://example.com,http://localhost:3000, without paths")
    return origin


def checked_redis_url(url: str) -> str:
    """The same address; a path that is no number would mean database 0."""
    parts = _split(url, ("redis", "rediss", "unix"))
    path = parts.path.strip("/") if parts else ""
    if parts is None or (not path if parts.scheme == "unix" else not f"0{path}".isdecimal()):
        raise ValueError("must look like redis://host:6379/0, rediss://host:6379/0 or unix:///path")
    return url


def cloudinary_account(url: str) -> dict[str, str | None]:
    """cloud_name, api_key, api_secret and upload_prefix of a `cloudinary://` address."""
    parts = _split(url, ("cloudinary",))
    account = {"cloud_name": parts.hostname, "api_key": parts.username, "api_secret": parts.password} if parts else {}
    if parts is None or not all(account.values()):
        raise ValueError("must look like cloudinary://key:secret@cloud")
    return account | {"upload_prefix": parse_qs(parts.query).get("upload_prefix", [None])[0]}


def _web(url: str) -> bool:
    parts = _split(url, WEB)
    return parts is not None and bool(parts.hostname) and not any(sign.isspace() for sign in url)


def _split(url: str, schemes: Collection[str] | None = None) -> SplitResult | None:
    """The parts of an address with one of these schemes, or any, and a port that exists; None for anything else."""
    try:
        parts = urlsplit(url)
        is_legal = parts.port != 0 and url.lower().startswith(f"{parts.scheme}://")
    except ValueError:
        return None
    return parts if is_legal and (schemes is None or parts.scheme in schemes) else None
