"""The version, as pyproject.toml names it."""

import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def version() -> str:
    """The project's version; a checkout or image always carries its pyproject.toml."""
    return str(tomllib.loads(PYPROJECT.read_text())["project"]["version"])
