"""Large photos are decoded in a process of their own, with the same outcome."""

import resource
from pathlib import Path

import pytest

from models.errors import ErrorCode, PhotoRejected
from services.images import PhotoRules, normalise, normalise_here
from tests.photos import jpeg_bytes, png_bytes

RULES = PhotoRules(max_bytes=10 * 2**20, min_side=512)
LARGE = (4200, 3200)  # 13.4 million pixels


def children_peak() -> int:
    """Kilobytes of the largest child process so far."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


@pytest.mark.parametrize("make", [jpeg_bytes, png_bytes], ids=["jpeg", "png"])
def test_a_large_photo_is_the_same_from_its_own_process(tmp_path: Path, make: object) -> None:
    """Where a photo is decoded changes neither its bytes nor its facts."""
    source = tmp_path / "source"
    source.write_bytes(make(*LARGE))  # type: ignore[operator]
    apart = normalise(source, tmp_path / "apart", rules=RULES)
    here = normalise_here(source, tmp_path / "here", rules=RULES)
    assert here.path.read_bytes() == apart.path.read_bytes()
    assert (here.width, here.height, here.sha256, here.extension) == (
        apart.width, apart.height, apart.sha256, apart.path.suffix,
    )  # fmt: skip
    assert children_peak() * 1024 > LARGE[0] * LARGE[1] * 4


def test_a_large_photo_is_refused_with_its_reason(tmp_path: Path) -> None:
    """A refusal comes out of the process as it went in, and leaves no file."""
    source = tmp_path / "source.jpg"
    source.write_bytes(jpeg_bytes(*LARGE)[:-4000])
    with pytest.raises(PhotoRejected) as refusal:
        normalise(source, tmp_path / "to", rules=RULES)
    assert (ErrorCode.IMAGE_UNREADABLE, [source]) == (refusal.value.code, list(tmp_path.iterdir()))
