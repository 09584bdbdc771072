"""The link checker: slow, restartable, repairs what it can, never concludes anything from silence."""

from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from models.generation import Generation
from models.link import BrokenLink, LinkCursor, LinkKind
from models.lora import LoraModel
from models.user import User
from services import links
from services.ports import AssetKind, Download, StoreKeyRefused, StoreRefused, StoreUnavailable
from tests.fakes import FixedClock
from tests.service import rows
from tests.service.webhook_stage import DRAWN, PICTURE_URL, WEIGHTS_URL, Stage


@pytest.fixture
async def stage(owner: User, clock: FixedClock, tmp_path: Path) -> AsyncIterator[Stage]:
    """The services on each kind of database."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        yield Stage(folder=tmp_path, workers=workers, owner=owner, clock=clock)


async def check(stage: Stage) -> int:
    """A minute later, one batch."""
    stage.clock.time += timedelta(minutes=1)
    return await stage.assembly.upkeep.links.check_some()


async def kept(stage: Stage) -> Generation:
    stage.provider.answers["request-1"] = DRAWN
    generation = await stage.generation()
    await stage.work()
    return await Generation.get(id=generation.id)


async def broken() -> list[tuple[LinkKind, object]]:
    return [(link.kind, link.row_id) for link in await BrokenLink.all().order_by("kind")]


async def test_sound_links_stay(stage: Stage) -> None:
    """Nothing is fetched and nothing is found."""
    await kept(stage)
    files = dict(stage.store.files)
    assert 0 == await check(stage)
    assert files == stage.store.files


async def test_a_lost_picture_is_repaired(stage: Stage) -> None:
    """From the provider's address, the very same file again."""
    row = await kept(stage)
    files = dict(stage.store.files)
    stage.store.files.clear()
    assert 0 == await check(stage)
    assert files == stage.store.files
    assert row.content_sha256 == (await Generation.get(id=row.id)).content_sha256


async def test_what_cannot_be_repaired_is_counted_until_it_can(stage: Stage) -> None:
    """A broken link is remembered once, looked at every time, and forgotten when the file is back."""
    row = await kept(stage)
    files = dict(stage.store.files)
    picture = stage.provider.files.pop(PICTURE_URL)
    stage.provider.files[PICTURE_URL] = b"no image"
    stage.store.files.clear()
    assert [1, 1] == [await check(stage), await check(stage)]
    assert [(LinkKind.GENERATION, row.id)] == await broken()
    assert 1 == (await stage.assembly.services.health.report()).broken_links
    stage.provider.files[PICTURE_URL] = picture
    assert 0 == await check(stage)
    assert files == stage.store.files


async def test_lost_weights_are_repaired_only_by_the_same_file(stage: Stage) -> None:
    """Weights have a hash: another file under their address is not taken for them."""
    model = await stage.trained()
    stage.store.files.clear()
    good = stage.provider.files[WEIGHTS_URL]
    stage.provider.files[WEIGHTS_URL] = good[:-1] + b"\1"
    assert 1 == await check(stage)
    assert [(LinkKind.WEIGHTS, model.id)] == await broken()
    stage.provider.files[WEIGHTS_URL] = good
    assert 0 == await check(stage)
    assert good in stage.store.files.values()
    assert model.weights_location == (await LoraModel.get(id=model.id)).weights_location


async def test_a_lost_photo_has_no_other_source(stage: Stage) -> None:
    """It is reported; once deleted it is no longer missed."""
    photo = await rows.photo(stage.owner.id)
    assert 1 == await check(stage)
    await stage.assembly.upkeep.removal.delete_photo(stage.owner.id, photo.id)
    assert 0 == await check(stage)


async def test_silence_is_no_finding(stage: Stage) -> None:
    """A store that does not answer breaks no link and is not put to work."""
    await kept(stage)
    stage.store.files.clear()
    stage.store.works = False
    assert 0 == await check(stage)


async def test_a_walk_is_slow_and_complete(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch a minute however often it is asked, on from where another process stopped, and round again."""
    monkeypatch.setattr(links, "BATCH", 2)
    photos = [await rows.photo(stage.owner.id, location=f"photo/{number}.jpg") for number in range(5)]
    assert 2 == await check(stage)
    assert 2 == await stage.assembly.upkeep.links.check_some()
    assert [4, 5] == [await check(stage), await check(stage)]
    for photo in photos:
        stage.store.files[photo.location] = b"back"
    assert [1, 0] == [await check(stage) for _ in range(2)]


async def test_a_file_deleted_during_its_repair_goes_again(stage: Stage) -> None:
    """What its owner deletes while it is fetched anew does not come back."""
    row = await kept(stage)
    stage.store.files.clear()
    whole, remove = stage.provider.download, stage.assembly.upkeep.removal

    async def download(url: str, to: Path, *, limit: int) -> Download:
        await remove.delete_generation(stage.owner.id, row.id)
        await remove.remove_files(row.id)
        return await whole(url, to, limit=limit)

    stage.provider.download = download  # type: ignore[method-assign]
    assert 0 == await check(stage)
    assert {} == stage.store.files


async def test_a_repair_that_cannot_be_undone_is_left_to_the_sweep(stage: Stage) -> None:
    """The store goes away before the file of a deleted model could go again: the sweep removes it later."""
    model = await stage.trained()
    stage.store.files.clear()
    whole, remove = stage.store.put, stage.assembly.upkeep.removal

    async def put(source: Path, *, kind: AssetKind, name: str, content_type: str) -> str:
        location = await whole(source, kind=kind, name=name, content_type=content_type)
        await remove.delete_model(stage.owner.id, model.id)
        await LoraModel.filter(id=model.id).update(removed_at=stage.clock.now())
        return location

    works = stage.store.delete
    stage.store.put, stage.store.delete = put, failing(StoreUnavailable("away"))  # type: ignore[method-assign]
    await check(stage)
    assert 1 == len(stage.store.files)
    stage.store.delete = works  # type: ignore[method-assign]
    stage.clock.time += timedelta(minutes=2)
    assert 1 == await remove.remove_forgotten()
    assert {} == stage.store.files


def failing(error: Exception) -> Callable[[str], Awaitable[None]]:
    """A call that always fails."""

    async def call(location: str) -> None:
        raise error

    return call


@pytest.mark.parametrize("error", [StoreRefused("not delivered (403)"), StoreUnavailable("locked")])
async def test_one_file_does_not_stop_the_walk(stage: Stage, error: Exception) -> None:
    """A file that the store will not look for is no finding, and those behind it are still found."""
    await rows.generation(stage.owner.id, location="image/odd.png")
    odd = await rows.photo(stage.owner.id, location="image/odd.png")
    gone = await rows.photo(stage.owner.id, location="photo/gone.jpg")
    whole = stage.store.exists

    async def exists(location: str) -> bool:
        if location == odd.location:
            raise error
        return await whole(location)

    stage.store.exists = exists  # type: ignore[method-assign]
    assert 1 == [await check(stage) for _ in range(4)][-1]
    assert [(LinkKind.PHOTO, gone.id)] == await broken()


async def test_refused_credentials_are_no_finding(stage: Stage) -> None:
    """Nothing is known of any file until the operator has put them right."""
    await rows.photo(stage.owner.id)
    stage.store.exists = failing(StoreKeyRefused("key"))  # type: ignore[assignment, method-assign]
    assert 0 == await check(stage)


async def test_every_broken_link_is_looked_at_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that stay broken do not keep the others from being found repaired, wherever the walk is."""
    monkeypatch.setattr(links, "BATCH", 2)
    photos = [await rows.photo(stage.owner.id, location=f"photo/{number}.jpg") for number in range(5)]
    assert [2, 4, 5] == [await check(stage) for _ in range(3)]
    stage.store.files[photos[4].location] = b"back"
    for _ in range(3):
        await LinkCursor.filter(id=LinkKind.PHOTO).update(last_id=photos[4].id)
        found = await check(stage)
    assert 4 == found


async def test_the_broken_links_of_what_is_deleted_go(stage: Stage) -> None:
    """At once, however many others there are."""
    photos = [await rows.photo(stage.owner.id, location=f"photo/{number}.jpg") for number in range(30)]
    assert 30 == [await check(stage) for _ in range(2)][-1]
    for photo in photos[25:]:
        await stage.assembly.upkeep.removal.delete_photo(stage.owner.id, photo.id)
    assert 25 == await links.broken_links()
