"""A file that stores are given in tests, and its name as each kind."""

from pathlib import Path

import pytest

from services.ports import AssetKind, AssetStore

PIXELS = bytes(range(256)) * 400
NAMES = {AssetKind.PHOTO: "photo_1.png", AssetKind.IMAGE: "lora_run1_0.png", AssetKind.WEIGHTS: "lora.safetensors"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file to keep."""
    path = tmp_path / "source.png"
    path.write_bytes(PIXELS)
    return path


async def put(store: AssetStore, source: Path, kind: AssetKind = AssetKind.IMAGE) -> str:
    """Keep it."""
    return await store.put(source, kind=kind, name=NAMES[kind], content_type="image/png")
