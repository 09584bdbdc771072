"""`generate`: a prompt and a model in, picture files out, through the public API."""

import asyncio
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console

from likeness.cli.progress import LiveProgress
from likeness.cli.reach import check_ended_well, run, server_address, server_options, settings
from likeness.cli.train import START_HINT
from likeness.client.api import Client


@click.command("generate")
@click.argument("prompt")
@click.option("--model", required=True, metavar="ID_OR_NAME", help="The model, by its id or its exact name.")
@click.option("--count", type=click.IntRange(1, 4), default=1, show_default=True, help="How many pictures.")
@click.option("--size", metavar="SIZE", help="A named size such as square_hd, or <width>x<height>.")
@click.option("--seed", type=click.IntRange(min=0), help="The same seed draws the same picture again.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("pictures"),
    show_default=True,
    help="The folder for the pictures.",
)
@server_options
def command(prompt: str, model: str, out: Path, server: str | None, token: str | None, **options: Any) -> None:
    """Draw PROMPT with a trained model and keep the pictures as files."""
    address = server or server_address(settings())
    wanted = {"num_images": options["count"], "image_size": options["size"], "seed": options["seed"]}
    run(_generate(address, token, prompt, model, out, wanted), hint=START_HINT)


async def _generate(
    address: str, token: str | None, prompt: str, model: str, out: Path, options: dict[str, Any]
) -> None:
    async with Client(address, token) as client:
        found = await client.find_model(model)
        started = await client.generate(prompt, found["id"], **options)
        generations = await follow_generations(client, [generation["id"] for generation in started], Console())
        for generation in generations:
            if generation["status"] == "COMPLETED":
                print(await client.download(generation["imageUrl"], out / picture_name(found["name"], generation)))
        for generation in generations:
            check_ended_well(generation, what="generation")


async def follow_generations(client: Client, ids: list[str], console: Console) -> list[dict[str, Any]]:
    """Show the progress of generations to their end, and return them as they ended: not all may be COMPLETED."""
    with LiveProgress(console) as progress:
        labels = [f"Picture {number}" if len(ids) > 1 else "" for number in range(1, len(ids) + 1)]
        await asyncio.gather(*(_follow(client, id, progress, label) for id, label in zip(ids, labels, strict=True)))
    return [await client.generation(id) for id in ids]


async def _follow(client: Client, id: str, progress: LiveProgress, label: str) -> None:
    async for event in client.follow_generation(id, after_seq=0):
        progress.show(event, label=label)


def picture_name(name: str, generation: dict[str, Any]) -> str:
    """A file name from the model's name and the generation's id, with the ending of its address."""
    words = "-".join("".join(letter if letter.isalnum() else " " for letter in name).split()).lower()[:60]
    unique = "".join(letter for letter in generation["id"] if letter.isalnum())[-12:]
    suffix = PurePosixPath(urlsplit(generation["imageUrl"]).path).suffix or ".png"
    return f"{words or 'picture'}-{unique}{suffix}"
