"""Adding a kind of picture is one entry: pipeline, price, schema, kept file and history come with it (seed 003)."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_house import ROOMS, ROOT

REGISTRY = "models/generation_types.py"
ENTRY = """
    POP_ART = (
        "POP_ART",
        GenerationKind(
            description="A photo redrawn as pop art.",
            models=("fal-ai/fast-sdxl",),
            template="pop art, {prompt}",
            needs_photo=True,
        ),
    )
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a copy of the program does whose only change is the entry."""
    copy = tmp_path_factory.mktemp("copy")
    for room in [*ROOMS, "tests"]:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    with (copy / REGISTRY).open("a") as registry:
        registry.write(ENTRY)
    return asyncio.run(_run(copy, tmp_path_factory.mktemp("data")))


async def _run(copy: Path, data: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.service.one_more_kind", str(data)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-2000:]
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def test_the_schema_takes_it(shown: dict[str, Any]) -> None:
    """A value of the enum with the entry's description."""
    assert {"name": "POP_ART", "description": "A photo redrawn as pop art."} in shown["history"]["__type"]["enumValues"]


def test_what_it_needs_is_demanded(shown: dict[str, Any]) -> None:
    """Without a photo it is refused, at the field."""
    [error] = shown["refused"]["userErrors"]
    assert ["input", "sourcePhotoId"] == error["path"]


def test_the_pipeline_draws_it(shown: dict[str, Any]) -> None:
    """Its own model with its own words."""
    assert [["fal-ai/fast-sdxl/image-to-image", "DONE"]] == shown["attempts"]
    assert "pop art" == shown["prompt"]


def test_it_costs_two_credits(shown: dict[str, Any]) -> None:
    """Reserved once, and spent when the picture is kept."""
    [accepted] = shown["accepted"]["generations"]
    assert (2, 2, ["RESERVE", "COMMIT"]) == (accepted["creditsSpent"], shown["spent"], shown["postings"])


def test_its_file_is_kept_under_its_name(shown: dict[str, Any]) -> None:
    """`{type}_{runId}_{index}`, and the address is permanent."""
    assert ["image/pop_art_run-1_0.jpg"] == shown["files"]
    [picture] = shown["history"]["generations"]["nodes"]
    assert (True, "fal-ai/fast-sdxl") == (picture["permanent"], picture["model"])


def test_the_history_has_it(shown: dict[str, Any]) -> None:
    """And can be asked for this kind alone."""
    assert ["POP_ART"] == [node["type"] for node in shown["history"]["generations"]["nodes"]]
    assert [] == shown["other"]["generations"]["nodes"]
