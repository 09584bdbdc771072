"""The files of GraphiQL: the published ones are unchanged, and no file wants anything from another machine."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from likeness.http.page import FOLDER, TYPES

ROOT = Path(__file__).parents[2]
MAX_BYTES = 2_000_000
OURS = {"index.html", "page.js", "page.css", "files.js", "icon.svg", "published.json", "LICENSES.md"}


@dataclass(frozen=True, kw_only=True)
class Published:
    """One row of published.json: which file of which package ours is a copy of."""

    file: str
    package: str
    version: str
    path: str
    sha256: str


PUBLISHED = [Published(**row) for row in json.loads((FOLDER / "published.json").read_text("utf-8"))]


def text(name: str) -> str:
    """One file."""
    return (FOLDER / name).read_text("utf-8")


def one(pattern: str, source: str) -> Any:
    """The one match of a pattern that has a group."""
    (found,) = re.findall(pattern, source, re.DOTALL)
    return found


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.file)
def test_published_files_are_unchanged(published: Published) -> None:
    """Each has the hash that the file of the package has, and a licence with its version."""
    assert published.sha256 == hashlib.sha256((FOLDER / published.file).read_bytes()).hexdigest()
    rows = [re.split(r"[ ,|]+", row) for row in text("LICENSES.md").splitlines()]
    assert [row for row in rows if {published.package, published.version} <= set(row)]


def test_every_file_is_ours_or_published() -> None:
    """Nothing lies in the folder that nobody vouches for, and all of it together is small."""
    files = list(FOLDER.iterdir())
    assert OURS | {published.file for published in PUBLISHED} == {file.name for file in files}
    assert sum(file.stat().st_size for file in files) < MAX_BYTES


def test_the_page_loads_every_file_and_no_other() -> None:
    """Each served file is named by the page or imported by its script, by an address below the page's own."""
    addresses = re.findall(r'(?:src|href)="([^"]+)"', text("index.html"))
    assert {"graphql/assets/{digest}"} == {address.rpartition("/")[0] for address in addresses}
    named = {address.rpartition("/")[2] for address in addresses} | set(re.findall(r'from "\./(.+)"', text("page.js")))
    assert {file.name for file in FOLDER.iterdir() if file.suffix in TYPES} == named


@pytest.mark.parametrize("name", [name for name in sorted(OURS) if name.endswith((".html", ".js", ".css"))])
def test_our_files_name_no_other_machine(name: str) -> None:
    """No address of another server is in them."""
    assert [] == re.findall(r"(?:https?:)?//\w+\.\w+", text(name))


@pytest.mark.parametrize("name", sorted(file.name for file in FOLDER.glob("*.css")))
def test_style_sheets_bring_their_fonts(name: str) -> None:
    """What a style sheet refers to lies inside it, and it imports nothing."""
    assert [] == re.findall(r"url\((?![\"']?data:)|@import", text(name))


def test_the_examples_fit_the_schema() -> None:
    """The operations that GraphiQL opens with are valid."""
    examples = parse(one(r"const EXAMPLES = `(.*?)`", text("page.js")))
    schema = build_schema((ROOT / "schema" / "schema.graphql").read_text("utf-8"))
    assert [] == validate(schema, examples)
    assert 3 == len(examples.definitions)
