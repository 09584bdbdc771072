"""The training ZIP: complete, always the same, or not there."""

import hashlib
import tracemalloc
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.packing import Packed, PackPhoto, archive_key, pack
from tests.photos import jpeg_bytes, png_bytes

JPEG = jpeg_bytes(64, 64)
PNG = png_bytes(64, 64)


@pytest.fixture
def photos(tmp_path: Path) -> Sequence[PackPhoto]:
    """Two photos, the second with a caption."""
    (tmp_path / "one").write_bytes(JPEG)
    (tmp_path / "two").write_bytes(PNG)
    return [
        PackPhoto(path=tmp_path / "one", extension=".jpg"),
        PackPhoto(path=tmp_path / "two", extension=".png", caption="a photo of TOK, été"),
    ]


def test_photos_are_numbered_with_their_true_extension(tmp_path: Path, photos: Sequence[PackPhoto]) -> None:
    """Photos and captions lie uncompressed under running numbers."""
    packed = pack(photos, tmp_path / "photos.zip")
    with zipfile.ZipFile(packed.path) as archive:
        assert archive.namelist() == ["image_001.jpg", "image_002.png", "image_002.txt"]
        assert archive.read("image_001.jpg") == JPEG
        assert archive.read("image_002.png") == PNG
        assert archive.read("image_002.txt").decode() == "a photo of TOK, été"
        assert {zipfile.ZIP_STORED} == {entry.compress_type for entry in archive.infolist()}
        assert {(1980, 1, 1, 0, 0, 0)} == {entry.date_time for entry in archive.infolist()}
        assert {0} == {entry.flag_bits & 8 for entry in archive.infolist()}


def test_the_result_describes_the_file(tmp_path: Path, photos: Sequence[PackPhoto]) -> None:
    """Size, hash and count are those of the finished file."""
    packed = pack(photos, tmp_path / "photos.zip")
    data = (tmp_path / "photos.zip").read_bytes()
    expected = Packed(path=tmp_path / "photos.zip", bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), count=2)
    assert expected == packed


def test_the_same_photos_give_the_same_bytes(tmp_path: Path, photos: Sequence[PackPhoto]) -> None:
    """Neither the place nor the time of packing shows in the archive."""
    first = pack(photos, tmp_path / "first.zip")
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "one").rename(tmp_path / "elsewhere" / "renamed")
    second = pack([PackPhoto(path=moved, extension=".jpg"), photos[1]], tmp_path / "elsewhere" / "second.zip")
    assert first.sha256 == second.sha256


def test_progress_is_told_after_each_photo(tmp_path: Path, photos: Sequence[PackPhoto]) -> None:
    """Each photo is announced once, when it is in."""
    told: list[tuple[int, int]] = []
    pack(photos, tmp_path / "photos.zip", on_photo=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_a_missing_photo_leaves_nothing(tmp_path: Path, photos: Sequence[PackPhoto]) -> None:
    """When a photo is gone, neither the archive nor a partial file stays."""
    (tmp_path / "two").unlink()
    with pytest.raises(FileNotFoundError):
        pack(photos, tmp_path / "photos.zip")
    assert [file.name for file in tmp_path.iterdir()] == ["one"]


def test_an_interrupted_packing_keeps_the_old_file(tmp_path: Path, photos: Sequence[PackPhoto]) -> None:
    """An archive that is there already stays whole when packing it anew is interrupted."""
    before = pack(photos, tmp_path / "photos.zip")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(photos[:1], tmp_path / "photos.zip", on_photo=interrupt)
    assert before.sha256 == hashlib.sha256((tmp_path / "photos.zip").read_bytes()).hexdigest()
    assert {"one", "two", "photos.zip"} == {file.name for file in tmp_path.iterdir()}


def test_no_photo_is_ever_whole_in_memory(tmp_path: Path) -> None:
    """Packing a photo of 16 MiB takes less than 1 MiB of memory."""
    (tmp_path / "one").write_bytes(bytes(2**24))
    tracemalloc.start()
    try:
        pack([PackPhoto(path=tmp_path / "one", extension=".jpg")], tmp_path / "photos.zip")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_the_key_does_not_depend_on_the_order() -> None:
    """The same photos have one key; one more, one less, or one twice has another."""
    assert archive_key(["a", "b", "c"]) == archive_key(["c", "a", "b"])
    assert len({archive_key(names) for names in (["a", "b", "c"], ["a", "b"], ["a", "b", "b"], ["ab"])}) == 4


def test_captions_belong_to_the_key() -> None:
    """Other captions make another archive, and a caption stays with its photo."""
    plain = archive_key(["a", "b"])
    assert plain == archive_key(["a", "b"], captions=[None, None])
    assert archive_key(["a", "b"], captions=["x", "y"]) == archive_key(["b", "a"], captions=["y", "x"])
    assert len({plain, *(archive_key(["a", "b"], captions=words) for words in (["x", "y"], ["y", "x"]))}) == 3
