"""GET /media of smaller copies: made when first asked for, cached for good, and only those of the list."""

from pathlib import Path

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette

from likeness.http.media import media_route
from models.status import ImageFormat
from services.gateways.store_local import LocalStore
from services.ports import AssetKind


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A local folder."""
    return LocalStore(tmp_path / "assets", base_url="http://us", secret=b"secret")


async def get(store: LocalStore, folder: Path, address: str) -> httpx.Response:
    app = Starlette(routes=[media_route(folder / "assets", store.verify, store.prepare)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://us") as client:
        return await client.get(address)


async def test_a_variant_is_made_when_asked_for(store: LocalStore, tmp_path: Path) -> None:
    """The address given out works at once, twice, and may be cached for good."""
    Image.new("RGB", (400, 200), "red").save(tmp_path / "a.png")
    location = await store.put(tmp_path / "a.png", kind=AssetKind.IMAGE, name="a.png", content_type="image/png")
    for _ in range(2):
        address = store.variant(location, width=64, height=None, format=ImageFormat.WEBP)
        answer = await get(store, tmp_path, address)
        assert (200, "image/webp") == (answer.status_code, answer.headers["content-type"])
        assert "immutable" in answer.headers["cache-control"]
        (tmp_path / "got").write_bytes(answer.content)
        with Image.open(tmp_path / "got") as image:
            assert (64, 32) == image.size


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("variants/a.png.65x0.webp", 403),
        ("variants/.a.png.64x0.webp", 403),
        ("variants/gone.png.64x0.webp", 404),
        ("variants/text.png.64x0.webp", 404),
    ],
)
async def test_other_variants_are_not_served(store: LocalStore, tmp_path: Path, path: str, status: int) -> None:
    """Sizes outside the list are forbidden; without a picture there is nothing."""
    (tmp_path / "text").write_text("no picture")
    await store.put(tmp_path / "text", kind=AssetKind.IMAGE, name="text.png", content_type="image/png")
    assert status == (await get(store, tmp_path, f"http://us/media/{path}")).status_code
