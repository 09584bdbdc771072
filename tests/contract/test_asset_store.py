"""What every asset store promises: the local folder, Cloudinary's SDK before a strict stand-in, and both as one."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import stamina

from models.status import ImageFormat
from services.gateways.store_cloudinary import CloudinaryStore
from services.gateways.store_local import LocalStore
from services.gateways.store_moved import MovedStore
from services.ports import AssetKind, AssetMissing, AssetStore, StoreRefused, StoreUnavailable
from tests.contract.asset_files import NAMES, PIXELS, put
from tests.fake_cloudinary import CLOUD, KEY, SECRET, FakeCloudinary, running_cloudinary


@dataclass
class Clock:
    """Unix seconds that a test moves."""

    time: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


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


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    """A local folder."""
    return LocalStore(tmp_path / "assets", base_url="http://us", secret=b"secret", url_seconds=60, now=Clock())


@pytest.fixture
def moved(cloudinary: CloudinaryStore, local: LocalStore) -> MovedStore:
    """Both as one."""
    return MovedStore(cloudinary, local)


@pytest.fixture(params=["local", "cloudinary", "moved"])
def store(request: pytest.FixtureRequest) -> Any:
    """Each implementation in turn."""
    return request.getfixturevalue(request.param)


# ---- promises of every store ----


@pytest.mark.parametrize("kind", AssetKind)
async def test_what_is_put_can_be_fetched(kind: AssetKind, store: AssetStore, source: Path, tmp_path: Path) -> None:
    """A kept file comes back byte for byte, and its location fits a column."""
    location = await put(store, source, kind)
    await store.fetch(location, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == PIXELS
    assert len(location) <= 500


async def test_put_again_replaces(store: AssetStore, source: Path, tmp_path: Path) -> None:
    """The same name again is harmless: old and new location both show the new content."""
    first = await put(store, source)
    source.write_bytes(b"new")
    second = await put(store, source)
    for number, location in enumerate((first, second)):
        await store.fetch(location, tmp_path / str(number))
        assert (tmp_path / str(number)).read_bytes() == b"new"


@pytest.mark.parametrize("kind", AssetKind)
async def test_delete_twice(kind: AssetKind, store: AssetStore, source: Path, tmp_path: Path) -> None:
    """A deleted file is missing; deleting it again is fine."""
    location = await put(store, source, kind)
    await store.delete(location)
    await store.delete(location)
    with pytest.raises(AssetMissing):
        await store.fetch(location, tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("kind", AssetKind)
async def test_forget(kind: AssetKind, store: AssetStore, source: Path, tmp_path: Path) -> None:
    """Whoever was not told the location can remove the file by its name, twice, and no other file."""
    kept = await store.put(source, kind=kind, name="kept.png", content_type="image/png")
    location = await put(store, source, kind)
    await store.forget(kind, NAMES[kind])
    await store.forget(kind, NAMES[kind])
    with pytest.raises(AssetMissing):
        await store.fetch(location, tmp_path / "back")
    await store.fetch(kept, tmp_path / "back")


async def test_kinds_do_not_meet(store: AssetStore, source: Path, tmp_path: Path) -> None:
    """The same name in two kinds is two files."""
    image = await store.put(source, kind=AssetKind.IMAGE, name="a.png", content_type="image/png")
    source.write_bytes(b"photo")
    await store.put(source, kind=AssetKind.PHOTO, name="a.png", content_type="image/png")
    await store.fetch(image, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == PIXELS


@pytest.mark.parametrize("name", ["../a.png", "a/b.png", "/etc/passwd", "..", "", ".png", "a|b.png", "a\n.png"])
async def test_names_have_no_folder(name: str, store: AssetStore, source: Path) -> None:
    """A name that could leave its folder is refused."""
    with pytest.raises(StoreRefused):
        await store.put(source, kind=AssetKind.IMAGE, name=name, content_type="image/png")


@pytest.mark.parametrize("location", ["", "images", "images/../secret", "../../etc/passwd", "a|b", "other/a.png"])
async def test_foreign_locations_are_refused(location: str, store: AssetStore, tmp_path: Path) -> None:
    """A store reads only locations it has given out."""
    with pytest.raises(StoreRefused):
        store.url(location)
    with pytest.raises(StoreRefused):
        await store.fetch(location, tmp_path / "back")
    with pytest.raises(StoreRefused):
        await store.delete(location)


async def test_missing_source_is_refused(store: AssetStore, tmp_path: Path) -> None:
    """What is not there cannot be kept, now or later."""
    with pytest.raises(StoreRefused):
        await put(store, tmp_path / "nowhere", AssetKind.WEIGHTS)
    with pytest.raises(StoreRefused):
        await put(store, tmp_path / "nowhere")


async def test_store_is_healthy(store: AssetStore) -> None:
    """A store that works says so."""
    assert await store.healthy() is True


# ---- the local folder ----


async def test_local_image_address_is_permanent(local: LocalStore, source: Path) -> None:
    """An image has a plain address, the same each time."""
    assert local.url(await put(local, source)) == "http://us/media/images/lora_run1_0.png"
    assert local.url(await put(local, source)) == "http://us/media/images/lora_run1_0.png"
    assert local.verify("images/lora_run1_0.png", {})


@pytest.mark.parametrize("kind", [AssetKind.PHOTO, AssetKind.WEIGHTS])
async def test_local_private_addresses_expire(kind: AssetKind, local: LocalStore, source: Path) -> None:
    """A private address works for its time and only as it was given."""
    location = await put(local, source, kind)
    address = urlsplit(local.url(location))
    path, params = address.path.removeprefix("/media/"), dict(parse_qsl(address.query))
    assert (path, local.verify(path, params)) == (location, True)
    assert not local.verify(path, {})
    assert not local.verify(path, params | {"expires": str(int(params["expires"]) + 1)})
    assert not local.verify(path, params | {"signature": "é" * 64})
    assert not local.verify(path.replace("photos", "weights").replace("lora", "photo"), params)
    assert not local.verify("../" + path, params)
    local._now.time += 60  # type: ignore[attr-defined]
    assert not local.verify(path, params)


async def test_local_put_leaves_no_half_files(local: LocalStore, source: Path, tmp_path: Path) -> None:
    """A copy that fails leaves neither target nor draft."""
    await put(local, source)
    with pytest.raises(StoreRefused):
        await put(local, tmp_path)
    assert [tmp_path / "assets/images/lora_run1_0.png"] == [p for p in (tmp_path / "assets").rglob("*") if p.is_file()]


async def test_local_store_without_folder_is_not_healthy(tmp_path: Path) -> None:
    """A root that cannot be a folder is told, and nothing is kept."""
    (tmp_path / "file").write_bytes(b"")
    store = LocalStore(tmp_path / "file", base_url="http://us", secret=b"s")
    assert await store.healthy() is False
    with pytest.raises((StoreRefused, StoreUnavailable)):
        await put(store, tmp_path / "file")


# ---- variants, existence, tidying ----


async def test_existence(store: AssetStore, source: Path) -> None:
    """A kept file exists, a deleted one does not; a foreign location is refused."""
    for kind in AssetKind:
        location = await put(store, source, kind)
        assert await store.exists(location) is True
        await store.delete(location)
        assert await store.exists(location) is False
    with pytest.raises(StoreRefused):
        await store.exists("../../etc/passwd")


async def test_variant_addresses_are_stable(store: AssetStore, source: Path) -> None:
    """The same wish gives the same address, another wish another one, and only images have them."""
    location = await put(store, source)
    wishes = [(256, None, None), (None, 256, None), (256, 256, None), (256, None, ImageFormat.WEBP)]
    addresses = [store.variant(location, width=w, height=h, format=f) for w, h, f in wishes]
    again = [store.variant(location, width=w, height=h, format=f) for w, h, f in wishes]
    assert (addresses, len(set(addresses))) == (again, len(wishes))
    assert not any("?" in address for address in addresses)
    for kind in (AssetKind.PHOTO, AssetKind.WEIGHTS):
        with pytest.raises(StoreRefused):
            store.variant(await put(store, source, kind), width=64, height=None, format=None)


async def test_tidy_keeps_the_originals(store: AssetStore, source: Path) -> None:
    """Tidying never removes what was put."""
    location = await put(store, source)
    await store.tidy()
    assert await store.exists(location) is True
