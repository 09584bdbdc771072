"""What photos, trainings, models and generations have in common: pages."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.api.schema_stage import Stage

LISTS = ["photos", "trainings", "models", "generations"]
MAKE: dict[str, Callable[[Stage], Awaitable[Any]]] = {
    "photos": lambda stage: stage.photo(),
    "trainings": lambda stage: stage.training(),
    "models": lambda stage: stage.training(),
    "generations": lambda stage: stage.generation(),
}


def document(name: str) -> str:
    """A page of a list."""
    return f"""query($first: Int, $after: String) {{ {name}(first: $first, after: $after) {{
      totalCount nodes {{ id }} edges {{ cursor node {{ id }} }}
      pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
    }} }}"""


@pytest.mark.parametrize("name", LISTS)
async def test_pages_newest_first(stage: Stage, name: str) -> None:
    """Following `endCursor` gives every object once, the newest first."""
    for _ in range(3):
        await MAKE[name](stage)
    everything = (await stage.ask(document(name)))[name]
    first = (await stage.ask(document(name), first=2))[name]
    end = first["pageInfo"]["endCursor"]
    count = everything["totalCount"]
    second = (await stage.ask(document(name), first=100, after=end))[name]
    assert everything["nodes"] == first["nodes"] + second["nodes"]
    assert everything["nodes"] == [edge["node"] for edge in everything["edges"]]
    assert [count, count] == [len(everything["nodes"]), second["totalCount"]]
    cursors = [edge["cursor"] for edge in first["edges"]]
    expected = {
        "hasNextPage": True, "hasPreviousPage": False, "startCursor": cursors[0], "endCursor": cursors[-1]
    }  # fmt: skip
    assert expected == first["pageInfo"]
    flags = (second["pageInfo"]["hasNextPage"], second["pageInfo"]["hasPreviousPage"])
    assert (False, True) == flags


@pytest.mark.parametrize("name", LISTS)
async def test_an_empty_list(stage: Stage, name: str) -> None:
    """Nothing, and not the strangers' things."""
    await stage.generation(stage.stranger)
    await stage.training(stage.stranger)
    info = {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None}
    expected = {"totalCount": 0, "nodes": [], "edges": [], "pageInfo": info}
    assert {name: expected} == await stage.ask(document(name), first=None, after=None)


@pytest.mark.parametrize("first", [-1, 0, 101])
@pytest.mark.parametrize("name", LISTS)
async def test_bounds_of_first(stage: Stage, name: str, first: int) -> None:
    """`first` is from 1 to 100."""
    expected = ("first must be from 1 to 100.", "BAD_USER_INPUT", ["first"])
    assert expected == await stage.refusal(document(name), first=first)


@pytest.mark.parametrize("name", LISTS)
async def test_cursors_of_another_list(stage: Stage, name: str) -> None:
    """A cursor belongs to its list; so does no other text."""
    await stage.training()
    other = "photos" if name != "photos" else "trainings"
    cursor = (await stage.ask(document(other)))[other]["pageInfo"]["endCursor"]
    expected = ("after is not a cursor of this list.", "BAD_USER_INPUT", ["after"])
    refusals = [await stage.refusal(document(name), after=after) for after in (cursor, "", "x", "????")]
    assert [expected] * 4 == refusals


@pytest.mark.parametrize("name", LISTS)
async def test_pages_are_stable_under_inserts(stage: Stage, name: str) -> None:
    """What is added while somebody turns pages moves nothing: no object twice, none left out."""
    stage.daily_credits = 1000
    for _ in range(3):
        await MAKE[name](stage)
    before = [node["id"] for node in (await stage.ask(document(name)))[name]["nodes"]]
    seen, cursor = [], None
    while True:
        page = (await stage.ask(document(name), first=2, after=cursor))[name]
        seen += [node["id"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        cursor = page["pageInfo"]["endCursor"]
        await MAKE[name](stage)
    assert before == seen
