"""The lock files: complete, hashed, in step with each other, and free of addresses."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-uv.lock"]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}(?=\s|$)")


def locked(name: str) -> dict[str, str]:
    """The requirements of one lock file: what stands before the hashes, to its hashes."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return {line.partition("--hash")[0].strip(): line for line in lines}


def declared(group: str | None = None) -> list[Requirement]:
    """What pyproject.toml asks for: run time with HEIC, or one dependency group."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    if group:
        return [Requirement(line) for line in project["dependency-groups"][group]]
    return [Requirement(line) for line in project["project"]["dependencies"]] + [
        Requirement(line) for line in project["project"]["optional-dependencies"]["heic"]
    ]


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_one_version_with_hashes(name: str) -> None:
    """Nothing is installed whose bytes are not known."""
    bare = [
        requirement for requirement, line in locked(name).items() if "==" not in requirement or not HASH.search(line)
    ]
    assert bare == []
    assert locked(name)


@pytest.mark.parametrize("name", LOCKS)
def test_no_address(name: str) -> None:
    """A lock that named an index would tie every user to it."""
    text = (ROOT / name).read_text().lower()
    assert [word for word in ("://", "--index", "index-url", "--find-links", "file:") if word in text] == []


def test_run_time_is_part_of_development() -> None:
    """What the tests prove is what production installs."""
    development = locked("requirements-dev.lock")
    assert {name: line for name, line in locked("requirements.lock").items() if development.get(name) != line} == {}


@pytest.mark.parametrize(("name", "group"), [("requirements.lock", None), ("requirements-dev.lock", "dev")])
def test_everything_declared_is_locked(name: str, group: str | None) -> None:
    """A dependency added to pyproject.toml is missing on a fresh machine until `./run lock` has run."""
    pins = [Requirement(line) for line in locked(name)]
    versions = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}
    missing = [
        str(wanted)
        for wanted in declared(group)
        if versions.get(canonicalize_name(wanted.name), "0") not in wanted.specifier
        or canonicalize_name(wanted.name) not in versions
    ]
    assert missing == []
