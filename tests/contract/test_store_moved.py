"""An installation that moved to Cloudinary: what was kept before stays where it is, and works as before."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from models.status import ImageFormat
from services.gateways.store_cloudinary import CloudinaryStore
from services.gateways.store_local import LocalStore
from services.gateways.store_moved import MovedStore
from services.ports import AssetKind, StoreUnavailable
from tests.contract.asset_files import NAMES, PIXELS, put
from tests.fake_cloudinary import CLOUD, KEY, SECRET, FakeCloudinary, page, running_cloudinary


@pytest.fixture
def cloud() -> Iterator[FakeCloudinary]:
    """A stand-in for Cloudinary."""
    with running_cloudinary() as fake:
        yield fake


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    """The store of before."""
    return LocalStore(tmp_path / "assets", base_url="http://us", secret=b"secret", now=lambda: 1_800_000_000.0)


@pytest.fixture
async def moved(cloud: FakeCloudinary, local: LocalStore) -> AsyncIterator[MovedStore]:
    """The store of after."""
    store = MovedStore(CloudinaryStore(CLOUD, KEY, SECRET, upload_prefix=cloud.base, timeout=2.0), local)
    yield store
    await store.close()


@pytest.mark.parametrize("kind", AssetKind)
async def test_what_was_kept_before(
    kind: AssetKind, moved: MovedStore, local: LocalStore, cloud: FakeCloudinary, source: Path, tmp_path: Path
) -> None:
    """A file of before has the address it had, is read and is deleted where it lies; Cloudinary is not asked."""
    location = await put(local, source, kind)
    assert local.url(location) == moved.url(location)
    assert await moved.exists(location) is True
    await moved.fetch(location, tmp_path / "back")
    assert PIXELS == (tmp_path / "back").read_bytes()
    await moved.delete(location)
    assert await local.exists(location) is False
    assert {} == cloud.calls


async def test_variants_of_before(moved: MovedStore, local: LocalStore, source: Path) -> None:
    """A smaller copy of an image of before has the address it had."""
    location = await put(local, source)
    wishes = {"width": 256, "height": None, "format": ImageFormat.WEBP}
    assert local.variant(location, **wishes) == moved.variant(location, **wishes)


async def test_new_files_go_to_cloudinary(
    moved: MovedStore, cloud: FakeCloudinary, source: Path, tmp_path: Path
) -> None:
    """They go to Cloudinary, and nothing is added to the folder of before."""
    for kind in AssetKind:
        await put(moved, source, kind)
    assert 3 == len(cloud.files)
    assert not (tmp_path / "assets").exists()


@pytest.mark.parametrize("kind", AssetKind)
async def test_forgetting_by_name(
    kind: AssetKind, moved: MovedStore, local: LocalStore, cloud: FakeCloudinary, source: Path
) -> None:
    """Both stores forget a name: nobody was told which of them has it."""
    location = await put(local, source, kind)
    await put(moved, source, kind)
    await moved.forget(kind, NAMES[kind])
    assert ({}, False) == (cloud.files, await local.exists(location))


async def test_cloudinary_away(moved: MovedStore, local: LocalStore, cloud: FakeCloudinary, source: Path) -> None:
    """A name is not taken for forgotten while one store does not answer, and files of before are still there."""
    location = await put(local, source)
    for operation in ("destroy", "ping", "read"):
        cloud.will(operation, page(503))
    with pytest.raises(StoreUnavailable):
        await moved.forget(AssetKind.PHOTO, NAMES[AssetKind.PHOTO])
    assert await moved.exists(location) is True


@pytest.mark.parametrize(("folder_works", "cloudinary_works"), [(True, True), (True, False), (False, True)])
async def test_health(
    folder_works: bool, cloudinary_works: bool, moved: MovedStore, cloud: FakeCloudinary, tmp_path: Path
) -> None:
    """The store can be used when both can."""
    if not folder_works:
        (tmp_path / "assets").write_bytes(b"not a folder")
    if not cloudinary_works:
        cloud.will("ping", page(503))
    assert (folder_works and cloudinary_works) is await moved.healthy()


async def test_tidying(local: LocalStore, cloud: FakeCloudinary, tmp_path: Path) -> None:
    """Smaller copies of before make room as they did."""
    small = LocalStore(tmp_path / "assets", base_url="http://us", secret=b"secret", variants_bytes=0)
    moved = MovedStore(CloudinaryStore(CLOUD, KEY, SECRET, upload_prefix=cloud.base), small)
    (tmp_path / "assets" / "variants").mkdir(parents=True)
    (tmp_path / "assets" / "variants" / "a.png.64x0.png").write_bytes(PIXELS)
    assert 1 == await moved.tidy()
    await moved.close()
