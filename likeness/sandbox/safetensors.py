"""The safetensors file format: 8 bytes of little-endian header length, a JSON header, the tensors.

Source: https://github.com/huggingface/safetensors (README, "Format").
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HEADER_LIMIT = 1 << 20


class NotSafetensors(ValueError):
    """The file is not a readable safetensors file."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A float32 tensor; the product of `shape` is the number of `values`."""

    shape: tuple[int, ...]
    values: Sequence[float]


def encode(tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str]) -> bytes:
    """The whole file as bytes, the header padded with spaces to a multiple of 8 as the format advises."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    body = bytearray()
    for name, tensor in tensors.items():
        start = len(body)
        body += _float32(tensor.values)
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, len(body)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(body)


def read_metadata(path: Path) -> dict[str, str]:
    """The `__metadata__` of a file, empty when it has none. Raises `NotSafetensors`."""
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if not 2 <= length <= HEADER_LIMIT:
            raise NotSafetensors("no header")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise NotSafetensors("the header is not JSON") from error
    if not isinstance(header, dict):
        raise NotSafetensors("the header is not an object")
    metadata = header.get("__metadata__")
    return {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}


def _float32(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)
