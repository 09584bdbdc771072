"""Smaller copies in the local store: made once, never larger than asked or than the original, bounded in number."""

import asyncio
import os
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest
from PIL import ExifTags, Image

from models.status import ImageFormat
from services.gateways.local_variants import Variant
from services.gateways.store_local import LocalStore
from services.ports import AssetKind, StoreRefused


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    """A local folder with little room for variants."""
    return LocalStore(tmp_path / "assets", base_url="http://us", secret=b"secret", variants_bytes=1500)


async def keep(local: LocalStore, folder: Path, *, name: str = "a_0.png", size: tuple[int, int] = (400, 200)) -> str:
    Image.effect_noise(size, 80).convert("RGBA").save(folder / "source.png")
    return await local.put(folder / "source.png", kind=AssetKind.IMAGE, name=name, content_type="image/png")


def path_of(address: str) -> str:
    return urlsplit(address).path.removeprefix("/media/")


@pytest.mark.parametrize(
    ("width", "height", "format", "size", "kind"),
    [
        (64, None, None, (64, 32), "PNG"),
        (None, 64, ImageFormat.WEBP, (128, 64), "WEBP"),
        (128, 1024, ImageFormat.JPEG, (128, 64), "JPEG"),
        (1536, 1536, None, (400, 200), "PNG"),
        (None, None, ImageFormat.JPEG, (400, 200), "JPEG"),
    ],
)
async def test_variants_fit_their_box(
    local: LocalStore, tmp_path: Path, width: int, height: int, format: ImageFormat, size: tuple[int, int], kind: str
) -> None:
    """Proportions are kept, nothing is enlarged, and the format is the one asked for."""
    location = await keep(local, tmp_path)
    path = path_of(local.variant(location, width=width, height=height, format=format))
    assert local.verify(path, {})
    await local.prepare(path)
    with Image.open(tmp_path / "assets" / path) as image:
        assert (size, kind) == (image.size, image.format)


async def test_many_ask_at_once(local: LocalStore, tmp_path: Path) -> None:
    """One file is made, and no draft is left."""
    location = await keep(local, tmp_path)
    path = path_of(local.variant(location, width=64, height=None, format=None))
    await asyncio.gather(*(local.prepare(path) for _ in range(8)))
    assert [Path(path).name] == [file.name for file in (tmp_path / "assets/variants").iterdir()]


@pytest.mark.parametrize(
    "path",
    [
        "variants/a_0.png.65x0.webp", "variants/a_0.png.64x0.gif", "variants/a_0.png.064x0.webp", "variants/a_0.png",
        "variants/../a_0.png.64x0.webp", "variants/a.64x0.webp", "variants/a_0.png.64x0.webp.64x0.tiff", "variants/",
    ],
)  # fmt: skip
async def test_only_listed_sizes_are_served(local: LocalStore, tmp_path: Path, path: str) -> None:
    """A size, format or name outside the list is no address."""
    await keep(local, tmp_path)
    assert local.verify(path, {}) is False
    with pytest.raises(StoreRefused):
        await local.prepare(path)
    with pytest.raises(StoreRefused):
        local.variant("images/a_0.png", width=65, height=None, format=None)


async def test_a_missing_or_broken_source_has_no_variant(local: LocalStore, tmp_path: Path) -> None:
    """Nothing is made of nothing, and a file that is no image is refused."""
    await local.prepare("variants/gone.png.64x0.webp")
    assert not (tmp_path / "assets/variants/gone.png.64x0.webp").exists()
    (tmp_path / "text").write_text("no image")
    await local.put(tmp_path / "text", kind=AssetKind.IMAGE, name="b.png", content_type="image/png")
    with pytest.raises(StoreRefused):
        await local.prepare("variants/b.png.64x0.webp")
    assert list((tmp_path / "assets/variants").iterdir()) == []


async def test_variants_go_with_their_image(local: LocalStore, tmp_path: Path) -> None:
    """Replacing or deleting an image removes its variants and no others."""
    one, other = await keep(local, tmp_path), await keep(local, tmp_path, name="a_01.png")
    paths = [path_of(local.variant(location, width=64, height=None, format=None)) for location in (one, other)]
    for path in paths:
        await local.prepare(path)
    await keep(local, tmp_path)
    assert [False, True] == [(tmp_path / "assets" / path).exists() for path in paths]
    await local.prepare(paths[0])
    await local.delete(one)
    assert [False, True] == [(tmp_path / "assets" / path).exists() for path in paths]


@pytest.mark.parametrize("then", ["deleted", "replaced"])
async def test_no_variant_stays_of_what_is_gone_meanwhile(
    local: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """An image that is deleted or replaced while its variant is drawn leaves none behind."""
    location = await keep(local, tmp_path)
    path = path_of(local.variant(location, width=64, height=None, format=None))
    draw = Variant.draw

    def draw_slowly(self: Variant, source: Path, to: Path) -> None:
        draw(self, source, to)
        asyncio.run(local.delete(location) if then == "deleted" else keep(local, tmp_path, size=(200, 400)))

    monkeypatch.setattr(Variant, "draw", draw_slowly)
    await local.prepare(path)
    assert [] == list((tmp_path / "assets/variants").iterdir())


async def test_a_variant_that_outlived_its_image_is_not_served(local: LocalStore, tmp_path: Path) -> None:
    """A crash between the two deletions leaves the variant: it goes when it is asked for."""
    location = await keep(local, tmp_path)
    path = path_of(local.variant(location, width=64, height=None, format=None))
    await local.prepare(path)
    (tmp_path / "assets" / location).unlink()
    await local.prepare(path)
    assert not (tmp_path / "assets" / path).exists()


@pytest.mark.parametrize("format", [None, *ImageFormat])
async def test_variants_are_upright(local: LocalStore, tmp_path: Path, format: ImageFormat | None) -> None:
    """What viewers turn by the EXIF of the original is turned in the variant, which has none."""
    image, exif = Image.new("RGB", (400, 200), "red"), Image.Exif()
    image.paste("blue", (0, 100, 400, 200))
    exif[ExifTags.Base.Orientation] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    with await variant_of(local, tmp_path / "turned.jpg", format) as variant:
        assert ((64, 128), {}) == (variant.size, dict(variant.getexif()))
        red, _, blue = cast("tuple[int, int, int]", variant.convert("RGB").getpixel((2, 2)))
        assert blue > red


@pytest.mark.parametrize("format", [None, *ImageFormat])
async def test_printing_colours_become_a_screens(local: LocalStore, tmp_path: Path, format: ImageFormat | None) -> None:
    """A CMYK original has variants of every kind, without its profile in files of other colours."""
    Image.new("CMYK", (400, 800), (0, 255, 255, 0)).save(tmp_path / "print.jpg", icc_profile=b"profile" * 20)
    with await variant_of(local, tmp_path / "print.jpg", format) as variant:
        assert ((64, 128), "RGB", None) == (variant.size, variant.mode, variant.info.get("icc_profile"))


async def variant_of(local: LocalStore, file: Path, format: ImageFormat | None) -> Image.Image:
    """The variant of a file that fits into 128 x 128."""
    location = await local.put(file, kind=AssetKind.IMAGE, name=file.name, content_type="image/jpeg")
    path = path_of(local.variant(location, width=128, height=128, format=format))
    await local.prepare(path)
    return Image.open(file.parent / "assets" / path)


async def test_the_oldest_variants_make_room(local: LocalStore, tmp_path: Path) -> None:
    """Beyond the room the oldest go first."""
    assert await local.tidy() == 0
    folder = tmp_path / "assets/variants"
    folder.mkdir(parents=True)
    for age, name in enumerate(["new", "middle", "old"]):
        (folder / name).write_bytes(bytes(700))
        os.utime(folder / name, (1_000_000 - age, 1_000_000 - age))
    assert await local.tidy() == 1
    assert {"new", "middle"} == {file.name for file in folder.iterdir()}
