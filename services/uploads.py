"""A file that a client has sent, as it lies on disk while its request lasts."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class UploadedFile:
    """One received file. It is removed when the request ends: copy what has to stay.

    `path` is a name of ours, never the client's; `filename` is what the client called it (no folder, at most 255
    characters); `content_type` is the client's claim; `bytes` is the size that was sent. With `too_large` the content
    was not kept and the file at `path` is empty.
    """

    path: Path = field(repr=False)
    filename: str | None
    content_type: str | None
    bytes: int
    too_large: bool = False
