"""The demo's drawn portraits."""

import hashlib
from pathlib import Path

from PIL import Image

from likeness.sample_photos import draw_sample_photos
from services.images import PhotoRules, normalise


def digests(paths: list[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_portraits_are_distinct_photos_of_the_right_size(tmp_path: Path) -> None:
    """Every portrait is another JPEG of the size asked for, and an upload would take it."""
    paths = draw_sample_photos(tmp_path, count=12, side=512)
    assert len(set(digests(paths))) == 12
    for path in paths:
        with Image.open(path) as opened:
            assert (opened.format, opened.size) == ("JPEG", (512, 512))
    assert normalise(paths[0], tmp_path / "kept", rules=PhotoRules(max_bytes=2**20, min_side=512)).width == 512


def test_the_same_seed_draws_the_same_portraits(tmp_path: Path) -> None:
    """Portraits depend on the seed and on nothing else."""
    first = digests(draw_sample_photos(tmp_path / "a", count=2, side=512))
    assert first == digests(draw_sample_photos(tmp_path / "b", count=2, side=512))
    assert first != digests(draw_sample_photos(tmp_path / "c", count=2, side=512, seed=8))
