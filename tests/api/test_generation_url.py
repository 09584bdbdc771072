"""Generation.url, thumbnailUrl and placeholder."""

from typing import Any

import pytest

from models.generation import Generation
from models.status import GenerationStatus
from schema.types.node import global_id
from tests.api.schema_stage import Stage

DOCUMENT = """query($id: ID!, $width: Int, $height: Int, $format: ImageFormat) { generation(id: $id) {
  imageUrl thumbnailUrl placeholder url(width: $width, height: $height, format: $format)
} }"""
PLAIN = "https://assets.example/image/a.png"


async def shown(stage: Stage, row: Generation, **variables: Any) -> dict[str, Any]:
    id = global_id("Generation", row.id)
    return (await stage.ask(DOCUMENT, id=id, **variables))["generation"]  # type: ignore[no-any-return]


async def kept(stage: Stage) -> Generation:
    row = await stage.generation()
    await stage.generations.progress(row.id, message="Drawing", original_fal_url="https://fal.media/a.png")
    await stage.generations.complete(row.id, location="image/a.png", placeholder="data:image/webp;base64,AA")
    return await Generation.get(id=row.id)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ""),
        ({"width": 64}, "?64xNone.None"),
        ({"width": 65}, "?128xNone.None"),
        ({"width": 9999, "height": 1}, "?1536x64.None"),
        ({"format": "JPEG"}, "?NonexNone.JPEG"),
    ],
)
async def test_sizes_go_up_to_the_next_that_is_made(stage: Stage, wanted: dict[str, Any], expected: str) -> None:
    """A side goes up to the next of the list, at most the largest; without a wish it is the image itself."""
    assert PLAIN + expected == (await shown(stage, await kept(stage), **wanted))["url"]


async def test_thumbnail_and_placeholder(stage: Stage) -> None:
    """What a gallery needs."""
    found = await shown(stage, await kept(stage))
    assert (f"{PLAIN}?256x256.WEBP", "data:image/webp;base64,AA") == (found["thumbnailUrl"], found["placeholder"])


async def test_before_the_image_is_kept(stage: Stage) -> None:
    """Nothing at first, then the provider's image in every size."""
    row = await stage.generation()
    assert {"imageUrl": None, "thumbnailUrl": None, "placeholder": None, "url": None} == await shown(stage, row)
    await stage.generations.progress(row.id, message="Keeping", original_fal_url="https://fal.media/a.png")
    found = await shown(stage, row, width=64)
    assert {"https://fal.media/a.png"} == {found["imageUrl"], found["thumbnailUrl"], found["url"]}


@pytest.mark.parametrize("side", ["width", "height"])
async def test_a_side_of_nothing_is_refused(stage: Stage, side: str) -> None:
    """Sides are 1 or more."""
    row = await kept(stage)
    id = global_id("Generation", row.id)
    expected = (f"{side} must be 1 or more.", "BAD_USER_INPUT", [side])
    assert expected == await stage.refusal(DOCUMENT, id=id, **{side: 0})


async def test_a_failed_generation_has_no_url(stage: Stage) -> None:
    """Its provider's address would die."""
    row = await stage.generation()
    changes = {"status": GenerationStatus.FAILED, "original_fal_url": "https://fal.media/a.png"}
    await Generation.filter(id=row.id).update(**changes)
    assert {None} == set((await shown(stage, row)).values())
