"""Small JSON files that are either there as a whole or not at all, also after a kill -9 of the writer."""

import json
import os
import secrets
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path`, replacing what was there in one step."""
    draft = _draft(path, json.dumps(value))
    draft.replace(path)


def create_json(path: Path, value: Any) -> bool:
    """Write `value` to `path` unless it exists already; whether this call wrote it. Of several processes one wins."""
    draft = _draft(path, json.dumps(value))
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def read_json(path: Path) -> Any | None:
    """The value in `path`, or None when there is no such file."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def _draft(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    draft.write_text(text)
    return draft
