"""Query.health."""

from schema.types.health import VERSION
from tests.api.schema_stage import Stage

DOCUMENT = "{ health { ok database storage provider simulated version } }"


async def test_all_is_well(stage: Stage) -> None:
    """Every part answers."""
    works = {"database": True, "storage": True, "provider": True, "simulated": True, "version": VERSION}
    assert {"health": {"ok": True} | works} == await stage.ask(DOCUMENT)


async def test_a_part_is_down(stage: Stage) -> None:
    """One part that does not work is named, and the whole is not ok."""
    stage.store.works = False
    works = {"database": True, "storage": False, "provider": True, "simulated": True, "version": VERSION}
    assert {"health": {"ok": False} | works} == await stage.ask(DOCUMENT)


async def test_broken_links_are_counted(stage: Stage) -> None:
    """None at first; those that the link checker knows of."""
    document = "{ health { ok brokenLinks } }"
    assert {"health": {"ok": True, "brokenLinks": 0}} == await stage.ask(document)
    photo = await stage.photo()
    await stage.assembly.upkeep.links.check_some()
    assert {"health": {"ok": True, "brokenLinks": 1}} == await stage.ask(document)
    assert photo.location not in stage.store.files
