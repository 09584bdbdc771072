"""The history of a user after the operator set CLOUDINARY_URL."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette

from likeness.app import Server
from likeness.assembly import Assembly
from likeness.settings import Settings
from likeness.wiring import wired
from models.generation import Generation
from models.link import LinkCursor
from models.status import GenerationStatus
from services.ports import AssetKind
from tests.fake_cloudinary import CLOUD, KEY, SECRET, FakeCloudinary, running_cloudinary
from tests.photos import jpeg_bytes
from tests.service import rows

HISTORY = """{
  generations { nodes { imageUrl thumbnailUrl } } photos { nodes { url } } models { nodes { modelUrl } }
  health { ok storage brokenLinks }
}"""


@pytest.fixture
def cloud() -> Iterator[FakeCloudinary]:
    """A stand-in for Cloudinary."""
    with running_cloudinary() as fake:
        yield fake


@dataclass
class Running:
    """One process, without its background work."""

    everything: Assembly
    client: httpx.AsyncClient

    async def history(self) -> dict[str, Any]:
        """What the user sees; there must be no error."""
        answer = (await self.client.post("/graphql", json={"query": HISTORY})).json()
        assert answer.get("errors") is None, answer
        return dict(answer["data"])

    async def keep(self, file: Path, kind: AssetKind, name: str) -> str:
        """The location of a kept file."""
        return await self.everything.gateways.store.put(file, kind=kind, name=name, content_type="image/jpeg")


@asynccontextmanager
async def running(database_url: str, folder: Path, **settings: Any) -> AsyncIterator[Running]:
    """The application as it is served, over its real stores."""
    facts = {"data_dir": folder, "database_url": database_url, "fal_mode": "sandbox"}
    server = Server(Settings.model_validate(facts | settings))
    async with wired(server._settings) as everything:
        server._wired = everything
        transport = httpx.ASGITransport(app=Starlette(routes=server.routes()), client=("127.0.0.1", 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:3001") as client:
            yield Running(everything, client)


@asynccontextmanager
async def moved(database_url: str, folder: Path, cloud: FakeCloudinary) -> AsyncIterator[Running]:
    """The application after CLOUDINARY_URL was set."""
    url = f"cloudinary://{KEY}:{SECRET}@{CLOUD}?upload_prefix={cloud.base}"
    async with running(database_url, folder, cloudinary_url=url) as process:
        yield process
        await process.everything.gateways.store.close()  # type: ignore[attr-defined]


@pytest.fixture
async def history(sqlite_database_url: str, tmp_path: Path) -> UUID:
    """What a user had before: a photo, a model and a picture, whose id is returned."""
    file = tmp_path / "a.jpg"
    file.write_bytes(jpeg_bytes())
    async with running(sqlite_database_url, tmp_path) as before:
        me = (await before.everything.services.identity.user("local")).id
        await rows.photo(me, location=await before.keep(file, AssetKind.PHOTO, "p.jpg"))
        weights = await before.keep(file, AssetKind.WEIGHTS, "w.safetensors")
        await rows.model(me, weights_location=weights)
        picture = await before.keep(file, AssetKind.IMAGE, "i.jpg")
        return (await rows.generation(me, location=picture, status=GenerationStatus.COMPLETED)).id


@pytest.mark.usefixtures("history")
async def test_every_address_works(sqlite_database_url: str, tmp_path: Path, cloud: FakeCloudinary) -> None:
    """Pictures, their smaller copies, photos and weights of before are delivered; private ones only to their owner."""
    async with moved(sqlite_database_url, tmp_path, cloud) as after:
        data = await after.history()
        [picture], [photo], [model] = (data[name]["nodes"] for name in ("generations", "photos", "models"))
        for address in (picture["imageUrl"], photo["url"], model["modelUrl"]):
            assert jpeg_bytes() == (await after.client.get(address)).content
        assert 200 == (await after.client.get(picture["thumbnailUrl"])).status_code
        for address in (photo["url"], model["modelUrl"]):
            assert 403 == (await after.client.get(address.partition("?")[0])).status_code
    assert {"ok": True, "storage": True, "brokenLinks": 0} == data["health"]


async def test_a_picture_of_before_is_deleted(
    sqlite_database_url: str, tmp_path: Path, cloud: FakeCloudinary, history: UUID
) -> None:
    """Its file goes with it."""
    async with moved(sqlite_database_url, tmp_path, cloud) as after:
        await Generation.filter(id=history).update(deleted_at=after.everything.gateways.clock.now())
        await after.everything.upkeep.removal.remove_files(history)
        assert (await Generation.get(id=history)).removed_at is not None
    assert not (tmp_path / "assets" / "images" / "i.jpg").exists()


@pytest.mark.usefixtures("history")
async def test_links_are_checked(sqlite_database_url: str, tmp_path: Path, cloud: FakeCloudinary) -> None:
    """The checker gets through every kind of file and tells which of them is gone."""
    async with moved(sqlite_database_url, tmp_path, cloud) as after:
        (tmp_path / "assets" / "photos" / "p.jpg").unlink()
        assert 1 == await after.everything.upkeep.links.check_some()
        assert 4 == await LinkCursor.filter(checked_at__isnull=False).count()


@pytest.mark.usefixtures("history")
async def test_old_and_new_beside_each_other(sqlite_database_url: str, tmp_path: Path, cloud: FakeCloudinary) -> None:
    """What is kept from now on lies at Cloudinary, in the same lists."""
    file = tmp_path / "a.jpg"
    async with moved(sqlite_database_url, tmp_path, cloud) as after:
        me = (await after.everything.services.identity.user("local")).id
        await rows.photo(me, location=await after.keep(file, AssetKind.PHOTO, "q.jpg"))
        addresses = [photo["url"] for photo in (await after.history())["photos"]["nodes"]]
        assert ["p.jpg"] == [path.name for path in (tmp_path / "assets" / "photos").iterdir()]
    assert [1, 1] == [sum(url.startswith(base) for url in addresses) for base in (cloud.base, "http://127.0.0.1:3001")]
    assert (2, 1) == (len(addresses), len(cloud.files))
