"""`train`: photos in, a trained model out, through the public API."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from likeness.cli.progress import LiveProgress
from likeness.cli.reach import check_ended_well, run, server_address, server_options, settings
from likeness.client.api import Client
from likeness.client.errors import ClientError

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif"})
START_HINT: Final = "Start a server with `./run serve`, or name one with --server."


@click.command("train")
@click.argument("photos", nargs=-1, required=True)
@click.option("--name", required=True, help="What the model is called.")
@click.option("--trigger-word", metavar="WORD", help="The word that calls the person in prompts; made from the name.")
@click.option("--gender", type=click.Choice(["person", "woman", "man"]), help="Chooses the noun of the prompts.")
@click.option("--steps", type=click.IntRange(1, 10000), help="Training steps.")
@click.option("--quality", type=click.Choice(["economy", "quality"]), help="500 or 1000 steps.")
@click.option("--base-model", metavar="KEY", help="The trainer, for example flux-lora-fast-training.")
@server_options
def command(photos: tuple[str, ...], name: str, server: str | None, token: str | None, **options: Any) -> None:
    """Train a model on PHOTOS: files, patterns like '*.jpg', or folders."""
    if options["steps"] and options["quality"]:
        raise click.UsageError("Give --steps or --quality, not both.")
    files = expand_photos(photos)
    address = server or server_address(settings())
    run(_train(address, token, files, name, options), hint=START_HINT)


def expand_photos(given: Sequence[str]) -> list[Path]:
    """The files behind what was typed, each once, in the order given and sorted within a pattern or folder.

    Of a folder only pictures are taken. Raises `click.UsageError` for what leads to no file.
    """
    files: dict[Path, None] = {}
    for text in given:
        found = _files(text)
        if not found:
            raise click.UsageError(f"There are no photos at {text}.")
        files.update(dict.fromkeys(found))
    return list(files)


def _files(text: str) -> list[Path]:
    path = Path(text).expanduser()
    if path.is_dir():
        return [file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES and file.is_file()]
    if path.is_file():
        return [path]
    matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
    return [Path(match) for match in matches if Path(match).is_file()]


async def _train(address: str, token: str | None, files: list[Path], name: str, options: dict[str, Any]) -> None:
    console = Console()
    async with Client(address, token) as client:
        base_model = await base_model_id(client, options.pop("base_model"))
        console.print(f"Uploading {len(files)} photos to {address}", soft_wrap=True, markup=False, highlight=False)
        photos = await client.upload_photos(files)
        ids = list(dict.fromkeys(photo["id"] for photo in photos))
        enums = {key: options[key].upper() for key in ("gender", "quality") if options[key]}
        training = await client.start_training(name, ids, base_model_id=base_model, **(options | enums))
        training = await follow_training(client, training["id"], console)
    model = training["model"]
    print(f"Model:        {model['id']}")
    print(f"Trigger word: {training['triggerWord']}")
    if training["simulated"]:
        print("Simulated:    no key for the image provider is set, so the sandbox did it")
    print(f'Next:         ./run generate "portrait in a sunlit garden" --model {model["id"]}')


async def follow_training(client: Client, id: str, console: Console) -> dict[str, Any]:
    """Show a training's progress to its end; the completed training. Raises `ClientError` when it failed."""
    with LiveProgress(console) as progress:
        async for event in client.follow_training(id, after_seq=0):
            progress.show(event)
    training = await client.training(id)
    check_ended_well(training, what="training")
    return training


async def base_model_id(client: Client, key: str | None) -> str | None:
    """The global id of a base model named by its key (the end of its trainer's endpoint), endpoint, name or id."""
    if key is None:
        return None
    models = await client.base_models()
    for model in models:
        if key in (model["id"], model["name"], model["trainer"], model["trainer"].rpartition("/")[2]):
            return str(model["id"])
    keys = ", ".join(model["trainer"].rpartition("/")[2] for model in models)
    raise ClientError(f"There is no base model {key}; there are {keys}.", code="NOT_FOUND")
