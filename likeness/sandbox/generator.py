"""The pretended generators: pictures that depend on prompt, seed and the weights they are given."""

import base64
import binascii
import io
from collections.abc import Iterator
from typing import Any

from PIL import Image

from likeness.sandbox import drawing
from likeness.sandbox.archive import BadImage, decode, not_downloadable
from likeness.sandbox.colours import stable_random
from likeness.sandbox.errors import unprocessable
from likeness.sandbox.life import NSFW_WORD, Request
from likeness.sandbox.safetensors import NotSafetensors, read_metadata
from likeness.sandbox.schemas import Endpoint, Work, size_of
from likeness.sandbox.signature import COLOURS, GRID, Signature
from likeness.sandbox.storage import Storage, file_object

INPUT_IMAGE_BYTES = 20 << 20
INPUT_IMAGE_SIDE = 1024
WEIGHTS_READ_BYTES = 4096


def generate(request: Request, body: dict[str, Any], *, endpoint: Endpoint, storage: Storage) -> dict[str, Any]:
    """The generator's output in the shape of its endpoint. Raises `ModelError` as the model would."""
    # A request without a seed has its own, so that computing it twice gives the same pictures.
    seed = body.get("seed")
    seed = stable_random(request.request_id).randrange(1 << 32) if seed is None else int(seed)
    if endpoint.work is Work.GHIBLIFY:
        picture = drawing.ghibli(_input_image(body["image_url"], storage=storage), seed=seed)
        image = _keep(picture, request=request, storage=storage, kind="png")
        return {"image": image}
    unsafe = NSFW_WORD in body["prompt"].lower()
    kind = body.get(endpoint.format) or "jpeg"
    pictures = _pictures(body, endpoint=endpoint, storage=storage, seed=seed, unsafe=unsafe)
    images = [_keep(picture, request=request, storage=storage, kind=kind) for picture in pictures]
    return {
        "images": [{key: image[key] for key in ("url", "width", "height", "content_type")} for image in images],
        "timings": {"inference": round(request.plan.run_seconds / request.speed, 3)},
        "seed": seed,
        "has_nsfw_concepts": [unsafe] * len(images),
        "prompt": body["prompt"],
    }


def _pictures(
    body: dict[str, Any], *, endpoint: Endpoint, storage: Storage, seed: int, unsafe: bool
) -> Iterator[Image.Image]:
    signature, influence = _weights(body.get("loras") or [], storage=storage)
    photo = None
    if endpoint.work is Work.IMAGE_TO_IMAGE:
        photo = _input_image(body["image_url"], storage=storage)
    width, height = photo.size if photo else size_of(body.get("image_size"), default=endpoint.default_size)
    for index in range(int(body.get("num_images") or 1)):
        if unsafe:
            yield drawing.black(width, height)
        elif photo:
            strength = body.get("strength") or 0.85
            yield drawing.restyled(
                photo, prompt=body["prompt"], seed=seed + index, strength=strength, signature=signature
            )
        else:
            yield drawing.portrait(
                width,
                height,
                prompt=body["prompt"],
                seed=seed,
                index=index,
                signature=signature,
                influence=influence,
            )


def _weights(loras: list[dict[str, Any]], *, storage: Storage) -> tuple[Signature | None, float]:
    found = [_signature(lora["path"], index=index, storage=storage) for index, lora in enumerate(loras)]
    if not found:
        return None, 0.0
    scales = [1.0 if lora.get("scale") is None else float(lora["scale"]) for lora in loras]
    palette = tuple(colour for signature in found for colour in signature.palette)[: 2 * COLOURS]
    shares = [sum(values) // len(found) for values in zip(*(signature.average for signature in found), strict=True)]
    return Signature(palette=palette, average=bytes(shares)), min(max(scales), 1.0)


def _signature(path: str, *, index: int, storage: Storage) -> Signature:
    file = storage.find_url(path)
    if file is None:
        raise not_downloadable("loras", index, "path")
    try:
        metadata = read_metadata(file.path)
    except NotSafetensors as error:
        msg = f"The weights cannot be loaded: {error}."
        raise unprocessable(("loras", index, "path"), msg=msg, type="value_error") from error
    with file.path.open("rb") as weights:
        default = weights.read(WEIGHTS_READ_BYTES)
    signature = Signature.from_metadata(metadata, default=default)
    assert len(signature.average) == 3 * GRID * GRID
    return signature


def _input_image(url: str, *, storage: Storage) -> Image.Image:
    try:
        image = decode(_input_bytes(url, storage=storage), side=INPUT_IMAGE_SIDE)
    except BadImage as error:
        msg = "Failed to load the image. Please ensure the image file is not corrupted."
        raise unprocessable(("image_url",), msg=msg, type="image_load_error") from error
    image.thumbnail((INPUT_IMAGE_SIDE, INPUT_IMAGE_SIDE))
    return image


def _input_bytes(url: str, *, storage: Storage) -> bytes:
    if url.startswith("data:"):
        header, comma, text = url.partition(",")
        if not comma or not header.endswith(";base64") or len(text) > INPUT_IMAGE_BYTES * 4 // 3 + 4:
            raise not_downloadable("image_url")
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise not_downloadable("image_url") from error
    file = storage.find_url(url)
    if file is None or file.size > INPUT_IMAGE_BYTES:
        raise not_downloadable("image_url")
    return file.path.read_bytes()


def _keep(image: Image.Image, *, request: Request, storage: Storage, kind: str) -> dict[str, Any]:
    data = io.BytesIO()
    image.save(data, format=kind.upper(), **({"quality": 92} if kind == "jpeg" else {}))
    file = storage.keep_bytes(
        data.getvalue(),
        name=f"image.{'jpg' if kind == 'jpeg' else kind}",
        content_type=f"image/{kind}",
        life_seconds=request.output_seconds,
    )
    return file_object(storage, file) | {"width": image.width, "height": image.height}
