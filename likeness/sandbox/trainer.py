"""The pretended training: opens the archive for real, decodes every photo, and writes a small valid weights file."""

import json
import random
import zipfile
from typing import Any

from likeness.sandbox import safetensors
from likeness.sandbox.archive import (
    BadArchive,
    BadImage,
    captioned,
    decode,
    not_downloadable,
    open_archive,
    picture_names,
    read_entry,
)
from likeness.sandbox.errors import unprocessable
from likeness.sandbox.life import Request
from likeness.sandbox.schemas import Endpoint
from likeness.sandbox.signature import Learner, Signature
from likeness.sandbox.storage import Storage, file_object

MIN_PICTURES = 4
DECODE_SIDE = 256
RANK = 4
WIDTH = 64
_BLOCK = "transformer.single_transformer_blocks.0.attn.to_q"


def train(request: Request, body: dict[str, Any], *, endpoint: Endpoint, storage: Storage) -> dict[str, Any]:
    """The trainer's output: weights and configuration as File objects. Raises `ModelError` as the model would."""
    signature, pictures = _learn(request, body, endpoint=endpoint, storage=storage)
    trigger = body.get("trigger_word") or body.get("trigger_phrase") or body.get("default_caption") or ""
    facts = {
        "simulated": "true",
        "endpoint": endpoint.id,
        "trigger_word": trigger,
        "steps": str(request.plan.steps),
        "images": str(pictures),
    }
    weights = storage.keep_bytes(
        safetensors.encode(_tensors(signature), metadata=facts | signature.as_metadata()),
        name="pytorch_lora_weights.safetensors",
        content_type="application/octet-stream",
        life_seconds=request.output_seconds,
    )
    config = storage.keep_bytes(
        json.dumps({**facts, "input": body, "instance_prompt": trigger}).encode(),
        name="config.json",
        content_type="application/json",
        life_seconds=request.output_seconds,
    )
    output = {endpoint.weights: file_object(storage, weights), "config_file": file_object(storage, config)}
    return output | ({"debug_preprocessed_output": None} if endpoint.archive == "images_data_url" else {})


def _learn(request: Request, body: dict[str, Any], *, endpoint: Endpoint, storage: Storage) -> tuple[Signature, int]:
    # The model reads the archive when it starts: one that expired since then was still there.
    file = storage.find_url(body[endpoint.archive], at=request.started_at)
    if file is None:
        raise not_downloadable(endpoint.archive)
    try:
        with open_archive(file.path) as archive:
            names = picture_names(archive)
            _check(archive, names, body=body, endpoint=endpoint)
            learner = Learner(len(names))
            for name in names:
                learner.learn(_decode(archive, name, endpoint=endpoint))
            return learner.signature(), len(names)
    except BadArchive as error:
        msg = f"The archive cannot be used: {error}."
        raise unprocessable((endpoint.archive,), msg=msg, type="invalid_archive") from error


def _check(archive: zipfile.ZipFile, names: list[str], *, body: dict[str, Any], endpoint: Endpoint) -> None:
    if len(names) < MIN_PICTURES:
        msg = f"The archive must hold at least {MIN_PICTURES} images, found {len(names)}."
        raise unprocessable((endpoint.archive,), msg=msg, type="value_error")
    if endpoint.needs_caption and not body.get("default_caption") and not captioned(archive, names):
        msg = "A default caption is needed when not every image has a caption."
        raise unprocessable(("default_caption",), msg=msg, type="value_error")


def _decode(archive: zipfile.ZipFile, name: str, *, endpoint: Endpoint) -> Any:
    try:
        return decode(read_entry(archive, name), side=DECODE_SIDE)
    except BadImage as error:
        msg = f"Failed to load {name}: it {error}."
        raise unprocessable((endpoint.archive,), msg=msg, type="image_load_error") from error


def _tensors(signature: Signature) -> dict[str, safetensors.Tensor]:
    noise = random.Random(signature.digest)  # noqa: S311 - stands for trained numbers
    values = [noise.gauss(0, 0.02) for _ in range(2 * RANK * WIDTH)]
    return {
        f"{_BLOCK}.lora_A.weight": safetensors.Tensor(shape=(RANK, WIDTH), values=values[: RANK * WIDTH]),
        f"{_BLOCK}.lora_B.weight": safetensors.Tensor(shape=(WIDTH, RANK), values=values[RANK * WIDTH :]),
    }
