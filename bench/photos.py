"""How long normalising and packing 20 photos of about 10 MiB takes, and how much memory: a table.

Run it with `.venv/bin/python bench/photos.py`. Every row is a process of its own; memory is its peak (ru_maxrss)
beyond what the same process needs before it begins.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

COUNT = 20
SHAPES = {"12 Mpx": (4000, 3000, 90), "24 Mpx": (6000, 4000, 69)}


def draw(folder: Path) -> None:
    """Write the photos, half of them to be turned when shown."""
    from tests.photos import noise

    for name, (width, height, quality) in SHAPES.items():
        (folder / name).mkdir()
        for seed in range(COUNT):
            picture = noise(width, height, seed=seed)
            tags = picture.getexif()
            tags[0x0112] = 6 if seed % 2 else 1
            picture.save(folder / name / f"{seed:02}.jpg", quality=quality, exif=tags)


def run_normalise(folder: Path) -> int:
    """Normalise every photo; the bytes read."""
    from services.images import PhotoRules, normalise

    rules = PhotoRules(max_bytes=16 * 2**20, min_side=512)
    photos = sorted(folder.glob("*.jpg"))
    (folder / "kept").mkdir()
    for photo in photos:
        normalise(photo, folder / "kept" / photo.stem, rules=rules)
    return sum(photo.stat().st_size for photo in photos)


def run_pack(folder: Path) -> int:
    """Pack what was normalised; the bytes written."""
    from services.packing import PackPhoto, pack

    photos = [PackPhoto(path=path, extension=path.suffix) for path in sorted((folder / "kept").iterdir())]
    return pack(photos, folder / "photos.zip").bytes


RUNS: dict[str, Callable[[Path], int]] = {"normalise": run_normalise, "pack": run_pack}


def measure(what: str, folder: Path) -> None:
    """Run one row and print it."""
    from PIL import Image

    import services.images
    import services.packing  # noqa: F401

    Image.init()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    size = RUNS[what](folder)
    seconds = time.perf_counter() - start
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{what:10} {folder.name:8} {COUNT:6} {size / 2**20:8.1f} {seconds:8.2f} {peak:10.0f}", flush=True)


def main() -> None:
    """Draw the photos, then measure each row in a fresh process."""
    with tempfile.TemporaryDirectory() as name:
        # Drawn elsewhere: a child starts with the peak of its parent.
        subprocess.run([sys.executable, __file__, "draw", name], check=True)
        print(f"{'':10} {'photo':8} {'photos':>6} {'MiB':>8} {'seconds':>8} {'+ peak MiB':>10}", flush=True)
        for shape in SHAPES:
            for what in RUNS:
                subprocess.run([sys.executable, __file__, what, str(Path(name) / shape)], check=True)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "draw":
        draw(Path(sys.argv[2]))
    else:
        measure(sys.argv[1], Path(sys.argv[2]))
