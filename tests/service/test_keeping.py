"""Kept for good: the store is away, slow to recover or refuses the key; the source dies; a process dies in between."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import stamina

from models.errors import ProviderJobGone
from models.generation import Generation, GenerationEvent
from models.status import GenerationStatus
from models.user import User
from services.keeping import SHOWN_MEANWHILE
from services.picture_links import image_url
from services.ports import AssetKind, Download, ProviderJob, StoreKeyRefused, StoreRefused, StoreUnavailable
from tests.fakes import FixedClock, MemoryStore
from tests.photos import jpeg_bytes
from tests.service.webhook_stage import DRAWN, PICTURE_URL, LosingProvider, Stage

SECOND_URL = "https://provider.example/second.jpg"


@dataclass
class TroubledStore(MemoryStore):
    """Raises `troubles` in turn before it works; a trouble of None keeps the file and loses the answer."""

    troubles: list[Exception | None] = field(default_factory=list)
    puts: int = 0
    seen: list[Generation] = field(default_factory=list)

    async def put(self, source: Path, *, kind: AssetKind, name: str, content_type: str) -> str:
        self.puts += 1
        self.seen += await Generation.all()
        if not self.troubles:
            return await super().put(source, kind=kind, name=name, content_type=content_type)
        if (trouble := self.troubles.pop(0)) is not None:
            raise trouble
        await super().put(source, kind=kind, name=name, content_type=content_type)
        raise StoreUnavailable("the answer was lost")


@dataclass
class DyingProvider(LosingProvider):
    """Files in `dead` are gone."""

    dead: set[str] = field(default_factory=set)
    later: Mapping[str, Any] | None = None
    reads: int = 0

    async def download(self, url: str, to: Path, *, limit: int) -> Download:
        if url in self.dead:
            raise ProviderJobGone(reason="its file has been deleted.")
        return await super().download(url, to, limit=limit)

    async def result(self, job: ProviderJob) -> Mapping[str, Any]:
        self.reads += 1
        if self.reads > 1 and self.later is not None:
            return self.later
        return await super().result(job)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Repeats come at once."""
    with stamina.set_testing(True, attempts=1000, cap=True):
        yield


@pytest.fixture
async def stage(owner: User, clock: FixedClock, tmp_path: Path) -> AsyncIterator[Stage]:
    """The services on each kind of database, over a store and a provider in trouble."""
    with ThreadPoolExecutor(max_workers=1) as workers:
        provider = DyingProvider(answers={"request-1": DRAWN})
        store = TroubledStore()
        yield Stage(folder=tmp_path, workers=workers, owner=owner, clock=clock, provider=provider, store=store)


async def drawn(stage: Stage) -> Generation:
    generation = await stage.generation()
    await stage.work()
    return await Generation.get(id=generation.id)


async def messages(id: UUID) -> list[str]:
    rows = GenerationEvent.filter(generation_id=id).order_by("seq")
    return list(await rows.values_list("message", flat=True))  # type: ignore[misc]


@pytest.mark.parametrize("trouble", [StoreUnavailable("down"), StoreKeyRefused("key"), None])
async def test_a_store_in_trouble_is_waited_for(stage: Stage, trouble: Exception | None) -> None:
    """Meanwhile the provider's picture shows, not permanent; then ours does, kept once, paid once, one paid call."""
    stage.store.troubles = [trouble] * 30
    row = await drawn(stage)
    assert (GenerationStatus.COMPLETED, True, 2) == (row.status, row.permanent, row.credits_spent)
    assert (31, 1, 1) == (stage.store.puts, len(stage.store.files), len(stage.provider.submitted))
    for seen in stage.store.seen:
        assert (PICTURE_URL, False) == (image_url(stage.store, seen), seen.permanent)
    assert 1 == (await messages(row.id)).count(SHOWN_MEANWHILE)
    assert image_url(stage.store, row) == stage.store.url(row.location or "")


async def test_the_kept_file_is_described(stage: Stage) -> None:
    """Hash, size and miniature are of the file in the store, which names the run and no user."""
    row = await drawn(stage)
    [content] = stage.store.files.values()
    assert hashlib.sha256(content).hexdigest() == row.content_sha256
    assert (row.placeholder or "").startswith("data:image/webp;base64,")
    assert row.run_id.encode() in content
    assert str(row.owner_id).encode() not in content


@pytest.mark.parametrize(
    ("said", "kept"),
    [(8, "8"), (2**64 - 1, str(2**64 - 1)), (10**29, "7"), ([1], "7"), (True, "7"), (-1, "7"), ("\ud83d", "7")],
)
async def test_the_seed_is_the_models_own(stage: Stage, said: Any, kept: str) -> None:
    """What is no seed, or one that no column holds, is left out; the picture is kept with the seed asked for."""
    stage.provider.answers["request-1"] = DRAWN | {"seed": said}
    row = await drawn(stage)
    assert (GenerationStatus.COMPLETED, kept) == (row.status, row.seed)


async def test_a_refused_file_is_refunded(stage: Stage) -> None:
    """A file that the store will never take ends the generation, and no other model is paid for it."""
    stage.store.troubles = [StoreRefused("not an image")]
    row = await drawn(stage)
    assert (GenerationStatus.FAILED, 0, 1) == (row.status, row.credits_spent, len(stage.provider.submitted))


async def test_a_dead_source_is_looked_up_again(stage: Stage) -> None:
    """The provider's result is read once more, and its new address is kept and noted."""
    stage.provider.dead = {PICTURE_URL}
    stage.provider.files[SECOND_URL] = jpeg_bytes()
    stage.provider.later = DRAWN | {"images": [{"url": SECOND_URL}]}
    row = await drawn(stage)
    assert (GenerationStatus.COMPLETED, SECOND_URL) == (row.status, row.original_fal_url)


async def test_without_any_source_it_fails(stage: Stage) -> None:
    """Nothing to keep: FAILED and refunded after one paid call."""
    stage.provider.dead = {PICTURE_URL}
    row = await drawn(stage)
    assert (GenerationStatus.FAILED, 0, 1) == (row.status, row.credits_spent, len(stage.provider.submitted))


async def test_a_process_dies_while_the_store_is_down(stage: Stage) -> None:
    """The next one goes on from the picture's address, although the provider has forgotten the job."""
    stage.store.troubles = [StoreUnavailable("down"), asyncio.CancelledError()]  # type: ignore[list-item]
    generation = await stage.generation()
    with pytest.raises(asyncio.CancelledError):
        await stage.assembly.generation_run.generate(generation.id)
    assert GenerationStatus.PROCESSING is (await Generation.get(id=generation.id)).status
    stage.provider.errors["request-1"] = ProviderJobGone(reason="forgotten")
    await stage.assembly.generation_run.generate(generation.id)
    row = await Generation.get(id=generation.id)
    assert (GenerationStatus.COMPLETED, 1, "7") == (row.status, len(stage.provider.submitted), row.seed)
