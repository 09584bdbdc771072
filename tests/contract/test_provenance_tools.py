"""ExifTool, which most photographers and archives use, reads and validates what a kept picture says of itself."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from services.provenance import SOURCE_TYPE, Provenance, stamp

FACTS = Provenance(
    prompt='a <portrait> & "tea" 茶 🎨', seed="42", model="fal-ai/flux-lora", run_id="run-1", simulated=True
)


@pytest.fixture(scope="session")
def exiftool() -> str:
    """The program; Debian's package is libimage-exiftool-perl."""
    found = shutil.which("exiftool")
    if found is None:
        assert not os.environ.get("CI"), "exiftool is not installed"
        pytest.skip("exiftool is not installed (Debian: apt install libimage-exiftool-perl)")
    return found


def read(exiftool: str, path: Path) -> dict[str, Any]:
    """Every tag with its group, and the verdict of the program's validation."""
    command = [exiftool, "-json", "-G1", "-validate", "-warning", "-charset", "utf8", "-all", str(path)]
    [tags] = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    return dict(tags)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_exiftool_reads_it(tmp_path: Path, exiftool: str, format: str) -> None:
    """Prompt, seed, model, run and how it was made, in a file in which it finds nothing to warn of."""
    path = tmp_path / f"picture.{format}"
    Image.effect_noise((61, 40), 90).convert("RGB").save(path)
    stamp(path, FACTS)
    tags = read(exiftool, path)
    assert ("OK", None) == (tags["ExifTool:Validate"], tags.get("ExifTool:Warning"))
    assert FACTS.prompt == tags["XMP-dc:Description"]
    assert SOURCE_TYPE == tags["XMP-iptcExt:DigitalSourceType"]
    ours = {name: str(tags[f"XMP-likeness:{name}"]) for name in ("Model", "Seed", "RunId", "Simulated")}
    assert {"Model": FACTS.model, "Seed": "42", "RunId": "run-1", "Simulated": "True"} == ours
    where = "PNG" if format == "png" else "IFD0"
    assert "likeness" == tags[f"{where}:Software"]


def test_nobody_is_in_it(tmp_path: Path, exiftool: str) -> None:
    """What the provider wrote into the file, such as a place or a name, is gone."""
    path = tmp_path / "picture.jpeg"
    exif = Image.Exif()
    exif[0x013B] = "Ada Lovelace"  # Artist
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    Image.effect_noise((61, 40), 90).convert("RGB").save(path, exif=exif, comment=b"Ada was here")
    command = [exiftool, "-q", "-overwrite_original", "-IPTC:By-line=Ada Lovelace", str(path)]
    subprocess.run(command, check=True, timeout=60)
    path.write_bytes(path.read_bytes() + b"Ada was here")
    assert {"IFD0:Artist", "GPS:GPSLatitudeRef", "File:Comment", "IPTC:By-line"} <= read(exiftool, path).keys()
    stamp(path, FACTS)
    foreign = ("Artist", "Comment", "By-line")
    assert not [tag for tag in read(exiftool, path) if tag.startswith("GPS") or tag.endswith(foreign)]
    assert b"Ada" not in path.read_bytes()
