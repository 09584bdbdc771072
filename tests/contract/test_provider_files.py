"""Files to and from the provider: bounded memory, a life that ends, no foreign host, no half file."""

import json
import tracemalloc
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from models.errors import (
    ProviderError,
    ProviderJobGone,
    ProviderKeyRefused,
    ProviderRejected,
    ProviderUnavailable,
)
from services.gateways.fal import WHOLE_BYTES, FalProvider
from tests.fake_fal import (
    DAY,
    LIMIT,
    MEDIA,
    PICTURE,
    STALL,
    FakeFal,
    quick_provider,
)


@pytest.fixture
def fal() -> FakeFal:
    """A scripted fal."""
    return FakeFal()


@pytest.fixture
async def provider(fal: FakeFal) -> AsyncIterator[FalProvider]:
    """The gateway before it."""
    async with quick_provider(fal) as provider:
        yield provider


async def test_upload_says_how_long_the_file_lives(fal: FakeFal, provider: FalProvider, tmp_path: Path) -> None:
    """The type given and the life in seconds go with the file."""
    (tmp_path / "a.bin").write_bytes(b"PK")
    await provider.upload(tmp_path / "a.bin", content_type="application/zip", expires_in=timedelta(hours=24))
    sent = fal.upload_headers[0]
    assert (sent["content-type"], sent["x-fal-file-name"]) == ("application/zip", "a.bin")
    assert json.loads(sent["x-fal-object-lifecycle"]) == {"expiration_duration_seconds": 86400}


async def test_upload_is_repeated(fal: FakeFal, provider: FalProvider, tmp_path: Path) -> None:
    """An upload costs nothing, so a lost one is sent again as a whole."""
    (tmp_path / "a.zip").write_bytes(b"PK")
    fal.will("token", Response(status_code=503), None)
    url = await provider.upload(tmp_path / "a.zip", content_type="application/zip", expires_in=DAY)
    assert (url, fal.calls["token"]) == (f"{MEDIA}/files/small", 2)


async def test_refused_key_ends_an_upload(fal: FakeFal, provider: FalProvider, tmp_path: Path) -> None:
    """A key that is refused is not tried again."""
    (tmp_path / "a.zip").write_bytes(b"PK")
    fal.will("token", Response(status_code=401))
    fal.will("initiate", Response(status_code=401))
    with pytest.raises(ProviderKeyRefused):
        await provider.upload(tmp_path / "a.zip", content_type="application/zip", expires_in=DAY)
    assert fal.calls["initiate"] == 1


async def test_large_upload_keeps_memory_bounded(fal: FakeFal, provider: FalProvider, tmp_path: Path) -> None:
    """40 MiB go up in parts that are never in memory as a whole."""
    size = 40 << 20
    with (tmp_path / "big.zip").open("wb") as file:
        file.truncate(size)
    tracemalloc.start()
    try:
        await provider.upload(tmp_path / "big.zip", content_type="application/zip", expires_in=DAY)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert json.loads(fal.files["big-size"]) == size
    assert json.loads(fal.upload_headers[0]["x-fal-object-lifecycle"]) == {"expiration_duration_seconds": 86400}
    assert peak < 4 << 20


async def test_lost_part_is_sent_again(fal: FakeFal, provider: FalProvider, tmp_path: Path) -> None:
    """An upload in parts begins anew when one of them is lost."""
    with (tmp_path / "big.zip").open("wb") as file:
        file.truncate(WHOLE_BYTES + 1)
    fal.will("part", httpx.ReadError(""), None)
    url = await provider.upload(tmp_path / "big.zip", content_type="application/zip", expires_in=DAY)
    assert (url, fal.calls["multipart"]) == (f"{MEDIA}/files/big", 2)


@pytest.mark.parametrize(
    "url",
    [
        f"{MEDIA.replace('https', 'http')}/files/a.png",
        "https://evil.example/files/a.png",
        "https://fal.media.evil.example/files/a.png",
        "https://evilfal.media/files/a.png",
        "https://fal.ai@evil.example/files/a.png",
        "https://user:pass@v3.fal.media/files/a.png",
        "https://v3.fal.media:8443/files/a.png",
        "https://127.0.0.1/files/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "https://[",
        "",
    ],
)
async def test_foreign_addresses_are_refused(url: str, fal: FakeFal, provider: FalProvider, tmp_path: Path) -> None:
    """Only https and the provider's own hosts are asked."""
    fal.files["a.png"] = PICTURE
    with pytest.raises(ProviderRejected):
        await provider.download(url, tmp_path / "out", limit=LIMIT)
    assert fal.calls["file"] == 0


async def test_redirects_stay_at_home(fal: FakeFal, provider: FalProvider, tmp_path: Path) -> None:
    """A redirect to another of the provider's hosts is followed, one elsewhere is not, nor are more than three."""
    fal.files["b.png"] = PICTURE
    home = Response(status_code=302, headers={"Location": "https://fal.media/files/b.png"})
    fal.will("file", home, None)
    kept = await provider.download(f"{MEDIA}/files/a.png", tmp_path / "out", limit=LIMIT)
    assert kept.bytes == len(PICTURE)
    fal.will("file", Response(status_code=302, headers={"Location": "https://evil.example/b.png"}))
    with pytest.raises(ProviderRejected):
        await provider.download(f"{MEDIA}/files/a.png", tmp_path / "out", limit=LIMIT)
    fal.will("file", home)
    with pytest.raises(ProviderRejected):
        await provider.download(f"{MEDIA}/files/a.png", tmp_path / "out", limit=LIMIT)
    assert fal.calls["file"] == 2 + 1 + 4


DOWNLOADS: dict[str, tuple[Any, type[ProviderError], int]] = {
    "truncated": (Response(PICTURE[:-1], headers={"Content-Length": str(len(PICTURE))}), ProviderUnavailable, 3),
    "down": (Response(status_code=503), ProviderUnavailable, 3),
    "reset": (httpx.ReadError(""), ProviderUnavailable, 3),
    "silence": (STALL, ProviderUnavailable, 3),
    "gone": (Response(status_code=404), ProviderJobGone, 1),
    "expired": (Response(status_code=410), ProviderJobGone, 1),
    "forbidden": (Response(status_code=403), ProviderRejected, 1),
}


@pytest.mark.parametrize("case", DOWNLOADS)
async def test_download_faults(case: str, fal: FakeFal, provider: FalProvider, tmp_path: Path) -> None:
    """What may pass is repeated, what is gone is not, and half a file is never left behind."""
    step, expected, calls = DOWNLOADS[case]
    fal.will("file", step)
    with pytest.raises(ProviderError) as failed:
        await provider.download(f"{MEDIA}/files/a.png", tmp_path / "out", limit=LIMIT)
    assert (expected, calls) == (type(failed.value), fal.calls["file"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("announced", [True, False])
async def test_download_has_a_cap(announced: bool, fal: FakeFal, provider: FalProvider, tmp_path: Path) -> None:
    """A file over the limit is refused, by its announced size or by counting."""
    answer = Response(PICTURE)
    if not announced:
        answer.raw_headers = [(name, value) for name, value in answer.raw_headers if name != b"content-length"]
    fal.will("file", answer)
    with pytest.raises(ProviderRejected) as refused:
        await provider.download(f"{MEDIA}/files/a.png", tmp_path / "out", limit=len(PICTURE) - 1)
    assert refused.value.facts["type"] == "file_too_large"
    assert not (tmp_path / "out").exists()
    kept = await provider.download(f"{MEDIA}/files/a.png", tmp_path / "out", limit=len(PICTURE))
    assert kept.bytes == len(PICTURE)


async def test_download_does_not_show_the_key(fal: FakeFal, provider: FalProvider, tmp_path: Path) -> None:
    """The hosts of outputs are not told our key."""
    fal.files["a.png"] = PICTURE
    await provider.download(f"{MEDIA}/files/a.png", tmp_path / "out", limit=LIMIT)
    assert "authorization" not in fal.file_headers[0]
