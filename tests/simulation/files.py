"""The smallest files that pass for weights, a config, a picture and a photo."""

import io
import json

from PIL import Image


def _image(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (90, 60, 30)).save(buffer, kind)
    return buffer.getvalue()


PICTURE, PHOTO = _image("PNG"), _image("JPEG")
CONFIG = b'{"steps": 4}'


def weights(name: str) -> bytes:
    """A sound safetensors file with one tensor, another one for each name."""
    tensor = name.encode()
    header = json.dumps({"t": {"dtype": "U8", "shape": [len(tensor)], "data_offsets": [0, len(tensor)]}}).encode()
    return len(header).to_bytes(8, "little") + header + tensor
