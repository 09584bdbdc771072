"""The main job by Apollo Client 4 with apollo-upload-client and graphql-ws, in Node."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from dirty_equals import IsInt

from tests.e2e.conftest import Server

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def node() -> str:
    """The path of node, with the packages installed; a missing one skips, and fails in CI."""
    found = shutil.which("node")
    reason = "" if found else "node is not there."
    if found and not (NODE / "node_modules").is_dir():
        reason = "The Node packages are not installed: run `npm ci` in tests/e2e/node."
    if reason:
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    return found or ""


def test_the_main_job(server: Callable[..., Server], node: str, photos: list[Path]) -> None:
    """Upload, training, live progress, a cache that updates itself, and a picture."""
    command = [node, NODE / "apollo.mjs", server().url, *photos[:5]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    seen = json.loads(done.stdout)
    assert list(range(1, len(seen["trainingSeqs"]) + 1)) == seen.pop("trainingSeqs")
    assert list(range(1, len(seen["generationSeqs"]) + 1)) == seen.pop("generationSeqs")
    assert seen.pop("statusBefore") in {"PENDING", "TRAINING"}
    assert seen.pop("pictureType") in {"image/jpeg", "image/png"}
    assert {
        "photos": 5,
        "lastTraining": "COMPLETED",
        "cachedStatus": "COMPLETED",
        "cachedProgress": 100,
        "cachedModelStatus": "COMPLETED",
        "refetches": 0,
        "cachedGeneration": "COMPLETED",
        "pictureStatus": 200,
        "pictureBytes": IsInt(gt=1000),
    } == seen
