"""Cloudinary beyond the common promises: addresses, large files, and every failure with its sentence."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stamina
from starlette.responses import JSONResponse

from models.status import ImageFormat
from services.gateways.store_cloudinary import CloudinaryStore
from services.ports import AssetKind, StoreKeyRefused, StoreRefused, StoreUnavailable
from tests.contract.asset_files import PIXELS, put
from tests.fake_cloudinary import CLOUD, KEY, SECRET, FakeCloudinary, page, refused, running_cloudinary


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Repeats come at once."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[FakeCloudinary]:
    """One stand-in for all tests of this file."""
    with running_cloudinary() as fake:
        yield fake


@pytest.fixture
def cloud(server: FakeCloudinary) -> FakeCloudinary:
    """The stand-in as new."""
    base = server.base
    server.__init__(base=base)  # type: ignore[misc]
    return server


@pytest.fixture
async def cloudinary(cloud: FakeCloudinary) -> AsyncIterator[CloudinaryStore]:
    """The gateway before the stand-in."""
    store = CloudinaryStore(CLOUD, KEY, SECRET, upload_prefix=cloud.base, timeout=0.5)
    yield store
    await store.close()


async def test_cloudinary_images_are_public(cloudinary: CloudinaryStore, cloud: FakeCloudinary, source: Path) -> None:
    """An image lies in the folder of the seed under its own name, at a permanent address without a query."""
    url = cloudinary.url(await put(cloudinary, source))
    assert url.startswith(f"{cloud.base}/{CLOUD}/image/upload/v")
    assert url.endswith("/stefna/generated/lora_run1_0.png")
    assert httpx.get(url, trust_env=False).content == PIXELS
    sent = cloud.uploads[0]
    assert (
        sent["folder"], sent["public_id"], sent["overwrite"], sent["invalidate"],
    ) == ("stefna/generated", "lora_run1_0", "1", "1")  # fmt: skip


@pytest.mark.parametrize("kind", [AssetKind.PHOTO, AssetKind.WEIGHTS])
async def test_cloudinary_private_addresses_expire(
    kind: AssetKind, cloudinary: CloudinaryStore, cloud: FakeCloudinary, source: Path
) -> None:
    """A private file has a signed address that carries its end."""
    location = await put(cloudinary, source, kind)
    assert next(iter(cloud.files))[1] == "authenticated"
    url = cloudinary.url(location)
    assert httpx.get(url, trust_env=False).content == PIXELS
    assert httpx.get(url.replace("expires_at=1", "expires_at=2"), trust_env=False).status_code == 401
    cloudinary._now = lambda: 1_000_000_000.0
    assert httpx.get(cloudinary.url(location), trust_env=False).status_code == 401


async def test_cloudinary_private_fetch_without_signed_delivery(
    cloudinary: CloudinaryStore, cloud: FakeCloudinary, source: Path, tmp_path: Path
) -> None:
    """When the delivery refuses a private file, the API's download is used."""
    location = await put(cloudinary, source, AssetKind.PHOTO)
    cloud.will("read", page(401))
    await cloudinary.fetch(location, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == PIXELS


async def test_cloudinary_takes_large_files_in_parts(
    cloudinary: CloudinaryStore, cloud: FakeCloudinary, tmp_path: Path
) -> None:
    """Weights over the limit of one request go up in parts under one id."""
    with (tmp_path / "big").open("wb") as file:
        file.truncate(45 << 20)
    location = await put(cloudinary, tmp_path / "big", AssetKind.WEIGHTS)
    assert [len(data) for data in cloud.files.values()] == [45 << 20]
    assert cloud.calls["upload"] == 3
    await cloudinary.delete(location)
    assert cloud.files == {}


FAULTS: dict[str, tuple[Any, type[Exception]]] = {
    "bad signature": (refused(401, f"Invalid Signature x. String to sign - 'public_id=a' {KEY}"), StoreRefused),
    "too large": (refused(400, "File size too large. Got 11. Maximum is 10."), StoreRefused),
    "not allowed": (refused(403, "nope"), StoreRefused),
    "no cloud": (refused(404, "nope"), StoreRefused),
    "rate limited": (refused(420, "slow down"), StoreUnavailable),
    "too many": (refused(429, "slow down"), StoreUnavailable),
    "locked": (refused(423, "locked"), StoreUnavailable),
    "internal error": (refused(500, "oops"), StoreUnavailable),
    "unavailable": (refused(503, "oops"), StoreUnavailable),
    "page of a proxy": (page(502), StoreUnavailable),
    "silence": (1.0, StoreUnavailable),
}


@pytest.mark.parametrize("case", FAULTS)
async def test_cloudinary_upload_faults(
    case: str, cloudinary: CloudinaryStore, cloud: FakeCloudinary, source: Path
) -> None:
    """Every failure is for now or for good, is sent once, and its sentence shows no secret."""
    step, expected = FAULTS[case]
    cloud.will("upload", step)
    with pytest.raises(expected) as failed:
        await put(cloudinary, source)
    assert cloud.calls["upload"] == 1
    for secret in (KEY, SECRET, "String to sign", "nginx"):
        assert secret not in str(failed.value)


async def test_cloudinary_says_why_a_file_is_refused(
    cloudinary: CloudinaryStore, cloud: FakeCloudinary, source: Path
) -> None:
    """The reason of a 400 is worth reading."""
    cloud.will("upload", refused(400, "File size too large."))
    with pytest.raises(StoreRefused, match="File size too large"):
        await put(cloudinary, source)


async def test_cloudinary_checks_our_secret(cloud: FakeCloudinary, source: Path) -> None:
    """A wrong secret is refused, and its sentence is ours."""
    store = CloudinaryStore(CLOUD, KEY, "wrong", upload_prefix=cloud.base)
    with pytest.raises(StoreRefused, match="credentials"):
        await put(store, source)
    await store.close()


async def test_cloudinary_without_a_server(source: Path, tmp_path: Path) -> None:
    """Nobody there: unavailable and unhealthy, in time."""
    store = CloudinaryStore(CLOUD, KEY, SECRET, upload_prefix="http://127.0.0.1:1", timeout=0.5)
    with pytest.raises(StoreUnavailable):
        await put(store, source)
    assert await store.healthy() is False
    await store.close()


async def test_cloudinary_health_needs_the_key(cloudinary: CloudinaryStore, cloud: FakeCloudinary) -> None:
    """A ping that is refused is not health, even with a code the SDK has no class for."""
    for step in (refused(401, "no"), refused(423, "locked"), page(502)):
        cloud.will("ping", step)
        assert await cloudinary.healthy() is False


async def test_cloudinary_reads_again(
    cloudinary: CloudinaryStore, cloud: FakeCloudinary, source: Path, tmp_path: Path
) -> None:
    """A delivery that fails for a moment is repeated; one that goes on failing is unavailable."""
    location = await put(cloudinary, source)
    cloud.will("read", page(503), None)
    await cloudinary.fetch(location, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == PIXELS
    cloud.will("read", page(503))
    with pytest.raises(StoreUnavailable):
        await cloudinary.fetch(location, tmp_path / "again")
    assert cloud.calls["read"] == 2 + 3


async def test_cloudinary_strange_answer(cloudinary: CloudinaryStore, cloud: FakeCloudinary, source: Path) -> None:
    """An answer without an address keeps nothing."""
    cloud.will("upload", JSONResponse({"public_id": "a"}))
    with pytest.raises(StoreUnavailable):
        await put(cloudinary, source)


async def test_cloudinary_variants_are_transformations(cloudinary: CloudinaryStore, source: Path) -> None:
    """Sizes become `c_limit`, formats `f_`, put before the version."""
    location = await put(cloudinary, source)
    url = cloudinary.url(location)

    def steps(width: int | None, height: int | None, format: ImageFormat | None) -> str:
        address = cloudinary.variant(location, width=width, height=height, format=format)
        before, after = url.split("/image/upload/")
        assert address.startswith(f"{before}/image/upload/")
        return address.removeprefix(f"{before}/image/upload/").removesuffix(after)

    assert steps(256, 512, ImageFormat.JPEG) == "c_limit,w_256,h_512/f_jpg/"
    assert steps(256, None, None) == "c_limit,w_256/"
    assert steps(None, None, ImageFormat.WEBP) == "f_webp/"
    assert steps(None, None, None) == ""


async def test_cloudinary_existence_is_not_guessed(
    cloudinary: CloudinaryStore, cloud: FakeCloudinary, source: Path
) -> None:
    """Only a clear 404 means gone; an answer that says nothing is unavailable."""
    location = await put(cloudinary, source)
    for step, expected in ((page(502), StoreUnavailable), (1.0, StoreUnavailable), (page(401), StoreRefused)):
        cloud.will("read", step)
        with pytest.raises(expected):
            await cloudinary.exists(location)
    cloud.will("read", page(404))
    assert await cloudinary.exists(location) is False


async def test_cloudinary_tells_a_refused_key_from_a_refused_file(
    cloudinary: CloudinaryStore, cloud: FakeCloudinary, source: Path
) -> None:
    """A key can be put right, and the file kept then; a refused file stays refused."""
    cloud.will("upload", refused(401, "Invalid Signature"))
    with pytest.raises(StoreKeyRefused):
        await put(cloudinary, source)
    cloud.will("upload", refused(400, "Invalid image file"))
    with pytest.raises(StoreRefused) as failed:
        await put(cloudinary, source)
    assert type(failed.value) is StoreRefused
