"""The disk is full during a run: tried again until there is room, else FAILED with a refund; never paid for twice."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from likeness.sandbox.safetensors import Tensor, encode
from models.generation import Generation
from models.ledger import PostingKind
from models.photo import Photo
from models.training import Training
from models.user import User
from services.gateways.store_local import LocalStore
from services.images import PhotoRules, normalise
from services.ports import AssetKind, StoreRefused
from services.training_input import TrainingInput
from tests.fake_fal import MEDIA, FakeFal, quick_provider
from tests.full_disk import cramped, full_disk
from tests.photos import HEIC, jpeg_bytes, noisy_jpeg
from tests.service import rows
from tests.service.engine import ATTEMPTS, carried_out
from tests.service.ledger import assert_sound
from tests.service.process import DAILY, Process, on_sqlite, postings
from tests.service.webhook_stage import DRAWN, PICTURE_URL, TRAINED, WEIGHTS_URL

MB = 1_000_000
SPENT, REFUNDED = [PostingKind.RESERVE, PostingKind.COMMIT], [PostingKind.RESERVE, PostingKind.REFUND]
ZIP_OF = {"images_data_url": "https://x.example/photos.zip"}
WEIGHTS = encode({"lora": Tensor(shape=(600_000,), values=[0.5] * 600_000)}, metadata={})
PICTURE = noisy_jpeg(1150, 1150)
Between = Callable[[], Awaitable[None]]


pytestmark = pytest.mark.usefixtures("no_waiting_in_silence")


@pytest.fixture
async def process(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    """A process over a real folder of assets, whose provider has trained and drawn."""
    (tmp_path / "tmp").mkdir()
    async with on_sqlite(sqlite_database_url, tmp_path / "tmp") as process:
        store: Any = LocalStore(tmp_path / "assets", base_url="http://localhost", secret=b"s")
        process.store = store
        process.provider.files = {WEIGHTS_URL: WEIGHTS, PICTURE_URL: PICTURE}
        yield process


@pytest.fixture
async def owner(process: Process) -> User:
    """Whose jobs they are."""
    return await process.user()


@contextmanager
def full_for(tries: int, *, room: int) -> Iterator[Between]:
    """A disk that is full for the first tries."""
    with ExitStack() as disk:
        disk.enter_context(full_disk(room))
        left = iter(range(tries - 1))

        async def between() -> None:
            if next(left, None) is None:
                disk.close()

        yield between


async def photo(process: Process, owner: User) -> UUID:
    """The id of a kept photo of 1 MB."""
    row, file = await rows.photo(owner.id), process.folder / "photo"
    file.write_bytes(row.id.bytes * (MB // 16))
    location = await process.store.put(file, kind=AssetKind.PHOTO, name=f"{row.id}.jpg", content_type="image/jpeg")
    file.unlink()
    await Photo.filter(id=row.id).update(location=location, sha256=row.id.hex * 2)
    return row.id


async def training_of(process: Process, owner: User, *, photos: int) -> Training:
    """A training of so many photos that was just accepted."""
    ids = tuple([await photo(process, owner) for _ in range(photos)])
    return await process.assembly.training.start(owner.id, TrainingInput(model_name="Me", photo_ids=ids))


async def ended(process: Process, job: Training | Generation) -> tuple[str, str | None, bool, list[PostingKind], int]:
    """Status, code of the error, whether it may be retried, what the ledger says, and how many calls were paid."""
    row = await type(job).get(id=job.id)
    assert [] == list(process.folder.iterdir())
    await assert_sound(row.owner_id)
    calls = len(process.provider.submitted)
    return row.status.value, row.error_code, row.error_retryable, await postings(row.id), calls


def completed(*, calls: int = 1) -> tuple[str, str | None, bool, list[PostingKind], int]:
    """How a job ends well."""
    return "COMPLETED", None, False, SPENT, calls


def failed(*, calls: int) -> tuple[str, str | None, bool, list[PostingKind], int]:
    """How a job ends that found no room."""
    return "FAILED", "PROVIDER_UNAVAILABLE", True, REFUNDED, calls


@pytest.mark.parametrize("tries", [3, ATTEMPTS])
async def test_the_zip(process: Process, owner: User, *, tries: int) -> None:
    """Two photos of 1 MB and no room for a ZIP of both: with room later it is built, else nothing is submitted."""
    process.provider.answers["request-1"] = TRAINED
    training = await training_of(process, owner, photos=2)
    with full_for(tries, room=3 * MB // 2) as between:
        again = await carried_out(process.assembly.training_run.run, training.id, between=between)
    if tries == ATTEMPTS:
        assert failed(calls=0) == await ended(process, training)
        assert DAILY == await process.spendable(owner)
    else:
        assert (tries, completed()) == (again, await ended(process, training))


async def test_the_photos_of_the_zip(process: Process, owner: User) -> None:
    """No room even for one: FAILED and refunded, and nothing is submitted."""
    training = await training_of(process, owner, photos=1)
    with full_disk(MB // 2):
        await carried_out(process.assembly.training_run.run, training.id)
    assert failed(calls=0) == await ended(process, training)


@pytest.mark.parametrize("tries", [3, ATTEMPTS])
async def test_fetching_the_weights(process: Process, owner: User, *, tries: int) -> None:
    """They are fetched again until they are whole, and nothing is submitted again; else the credits come back."""
    process.provider.answers["request-1"] = TRAINED
    training = await process.training(owner, **ZIP_OF)
    with full_for(tries, room=MB) as between:
        await carried_out(process.assembly.training_run.run, training.id, between=between)
    assert (failed(calls=1) if tries == ATTEMPTS else completed()) == await ended(process, training)
    assert (tries != ATTEMPTS) == bool(kept(process))


@pytest.mark.parametrize("tries", [2, 1000])
async def test_keeping_the_weights(
    process: Process, owner: User, monkeypatch: pytest.MonkeyPatch, *, tries: int
) -> None:
    """The folder of assets is full: tried again until it takes them, else nothing of them stays and they are free."""
    process.provider.answers["request-1"] = TRAINED
    training = await process.training(owner, **ZIP_OF)
    copies = iter([cramped(LocalStore._copy_in, room=MB)] * tries)
    whole = LocalStore._copy_in
    monkeypatch.setattr(LocalStore, "_copy_in", lambda *paths: next(copies, whole)(*paths))
    await carried_out(process.assembly.training_run.run, training.id)
    assert (failed(calls=1) if tries == 1000 else completed()) == await ended(process, training)
    assert ([] if tries == 1000 else [len(WEIGHTS)]) == kept(process)


@pytest.mark.parametrize("tries", [3, ATTEMPTS])
async def test_describing_a_picture(process: Process, owner: User, *, tries: int) -> None:
    """The picture fits and its description does not: it is fetched again, and no other model is paid for it."""
    process.provider.answers["request-1"] = DRAWN
    drawing = await process.generation(owner)
    with full_for(tries, room=len(PICTURE) + 100) as between:
        await carried_out(process.assembly.generation_run.run, drawing.id, between=between)
    assert (failed(calls=1) if tries == ATTEMPTS else completed()) == await ended(process, drawing)


def kept(process: Process) -> list[int]:
    """The sizes of the store's files, half ones too."""
    assets = (process.folder.parent / "assets").rglob("*")
    return [path.stat().st_size for path in assets if path.is_file()]


async def test_a_download_leaves_nothing(tmp_path: Path) -> None:
    """Through the real gateway: the error is the disk's, the part is gone, and it is whole when there is room."""
    fal = FakeFal(files={"weights": WEIGHTS})
    async with quick_provider(fal) as provider:
        with full_disk(MB), pytest.raises(OSError, match="too large"):
            await provider.download(f"{MEDIA}/files/weights", tmp_path / "weights", limit=10 * MB)
        assert [] == list(tmp_path.iterdir())
        whole = await provider.download(f"{MEDIA}/files/weights", tmp_path / "weights", limit=10 * MB)
    assert len(WEIGHTS) == whole.bytes == (tmp_path / "weights").stat().st_size


def test_a_photo_in_a_process_of_its_own(tmp_path: Path) -> None:
    """What goes wrong there is told as what it is, and leaves nothing."""
    (tmp_path / "photo").write_bytes(HEIC)
    with full_disk(100), pytest.raises(OSError, match=r"too large|No space"):
        normalise(tmp_path / "photo", tmp_path / "kept", rules=PhotoRules(max_bytes=MB, min_side=1))
    assert ["photo"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("format", ["jpg", "png", "webp"])
async def test_a_smaller_copy(tmp_path: Path, format: str) -> None:
    """It is not there rather than cut, and is made when there is room."""
    store = LocalStore(tmp_path / "assets", base_url="http://localhost", secret=b"s")
    (tmp_path / "picture").write_bytes(jpeg_bytes())
    await store.put(tmp_path / "picture", kind=AssetKind.IMAGE, name="a.jpg", content_type="image/jpeg")
    path, variants = f"variants/a.jpg.64x0.{format}", tmp_path / "assets" / "variants"
    with full_disk(50), pytest.raises(StoreRefused):
        await store.prepare(path)
    assert [] == list(variants.iterdir())
    await store.prepare(path)
    assert [path] == [f"variants/{file.name}" for file in variants.iterdir()]
