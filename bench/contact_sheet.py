"""One PNG with a picture of every preset, drawn through the API by a real server on the sandbox.

Run it with `.venv/bin/python bench/contact_sheet.py [contact_sheet.png]`; it ends with an error when a preset fails.
Portraits are drawn twice: with a model trained for it, and without one.
"""

import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from likeness.cli.child_server import running_server  # noqa: E402
from likeness.client.api import Client  # noqa: E402
from likeness.observability import configure_logging  # noqa: E402
from likeness.sample_photos import draw_sample_photos  # noqa: E402
from likeness.settings import Settings  # noqa: E402

SETTINGS = {
    "FAL_MODE": "sandbox", "SANDBOX_SPEED": "600", "FAL_POLL_SECONDS": "1", "DAILY_CREDITS": "1000000",
    "MIN_PHOTOS": "1",
}  # fmt: skip
PRESETS = "{ presets { key name type needsPhoto models } }"
GENERATION = """query($id: ID!) { generation(id: $id) {
  status imageUrl model finalPrompt error { code message } attempts { model error skipped }
} }"""
SIDE, COLUMNS, LINES, GAP = 256, 7, 44, 8  # pixels, but for the columns


@dataclass
class Drawn:
    """One picture of the sheet."""

    title: str
    note: str
    picture: Path


async def draw(client: Client, preset: dict[str, Any], folder: Path, **given: Any) -> Drawn:
    """Draw after a preset, and fetch the picture."""
    [begun] = await client.generate(None, preset_id=preset["key"], **given)  # type: ignore[arg-type]
    async for _ in client.follow_generation(begun["id"], after_seq=0):
        pass
    ended = (await client._connection.execute(GENERATION, id=begun["id"]))["generation"]
    assert ended["status"] == "COMPLETED", (preset["key"], ended)
    skipped = [attempt["model"] for attempt in ended["attempts"] if attempt["skipped"]]
    with_model = "model" if "model_id" in given else ""
    note = " ".join([ended["model"].removeprefix("fal-ai/"), with_model, *(f"(not {name})" for name in skipped)])
    picture = await client.download(ended["imageUrl"], folder / f"{preset['key']}{with_model}.png")
    print(f"{preset['key']:24} {note}", flush=True)
    return Drawn(title=preset["key"], note=note, picture=picture)


async def draw_all(client: Client, folder: Path) -> list[Drawn]:
    """Every preset: those with a photo from the first sample, portraits with a trained model and without."""
    photos = await client.upload_photos(await asyncio.to_thread(draw_sample_photos, folder))
    training = await client.start_training("Contact", [photo["id"] for photo in photos])
    async for _ in client.follow_training(training["id"], after_seq=0):
        pass
    model = (await client.find_model("Contact"))["id"]
    drawn = []
    for preset in (await client._connection.execute(PRESETS))["presets"]:
        if preset["needsPhoto"]:
            drawn.append(await draw(client, preset, folder, source_photo_id=photos[0]["id"]))
        else:
            drawn.append(await draw(client, preset, folder, model_id=model))
            drawn.append(await draw(client, preset, folder))
    return drawn


def write_sheet(drawn: list[Drawn], to: Path) -> None:
    """The grid, each picture with its preset and the model that drew it."""
    rows = -(-len(drawn) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) + GAP, rows * (SIDE + LINES + GAP) + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for number, one in enumerate(drawn):
        left = GAP + number % COLUMNS * (SIDE + GAP)
        top = GAP + number // COLUMNS * (SIDE + LINES + GAP)
        with Image.open(one.picture) as picture:
            picture.thumbnail((SIDE, SIDE))
            sheet.paste(picture, (left + (SIDE - picture.width) // 2, top + (SIDE - picture.height) // 2))
        pen.text((left, top + SIDE + 4), one.title, fill="black", font=font)
        pen.text((left, top + SIDE + 22), one.note, fill="dimgrey", font=ImageFont.load_default(12))
    sheet.save(to)


async def main(to: Path) -> None:
    """Start a server on an empty folder, draw, write the sheet."""
    configure_logging()
    ours = {name.upper() for name in Settings.model_fields} | {"FAL_API_KEY"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environ = {key: value for key, value in os.environ.items() if key.upper() not in ours}
        environ |= SETTINGS | {"DATA_DIR": str(folder / "data")}
        log = folder / "run" / "server.log"
        async with running_server(environ=environ, log=log) as server, Client(server.url) as client:
            drawn = await server.during(draw_all(client, folder / "files"))
        write_sheet(drawn, to)
    print(f"{len(drawn)} pictures in {to}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "contact_sheet.png")))
