"""The rules of the house that no other tool checks: names, sizes, empty package files, no machine's name."""

import ast
import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ["likeness", "schema", "resolvers", "services", "models"]
REQUIRED = {*ROOMS, "pyproject.toml", "README.md", "tests", "docker-compose.yml"}
ALLOWED = REQUIRED | {
    "run", ".ci", "bench", "docs", "CHANGELOG.md", "LICENSE", ".gitignore", ".dockerignore", ".env.example",
    "requirements.lock", "requirements-dev.lock", "requirements-uv.lock",
}  # fmt: skip
MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 30
# Written in two halves, so that this file does not hold what it forbids.
FORBIDDEN = [
    "pypi" + ".org", "python" + "hosted.org", "registry.npm" + "js.org", "registry.yarn" + "pkg.com",
    "/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/opt" + "/pypi", "/opt" + "/wheels", "/Use" + "rs/", "C:" + "\\Users",
]  # fmt: skip


def tracked() -> list[str]:
    """Every file of the project as git knows it, or in an unpacked archive all that .gitignore does not name."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    done = (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False) if shutil.which("git") else None
    )
    if done and done.returncode == 0:
        return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]
    ignored = [".git"] + [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    names = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
    return [str(name) for name in names if not any(fnmatch(part, rule) for part in name.parts for rule in ignored)]


def sources() -> list[Path]:
    """The Python files of the five rooms, those not yet committed too; migrations are generated."""
    files = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return [path for path in files if "migrations" not in path.parts]


def functions(tree: ast.AST, *, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Every function of a syntax tree with its dotted name and its number of lines."""
    for node in ast.iter_child_nodes(tree):
        name = f"{prefix}{getattr(node, 'name', '')}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield name, (node.end_lineno or node.lineno) - node.lineno + 1
        is_named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from functions(node, prefix=f"{name}." if is_named else prefix)


def test_top_level_names() -> None:
    """The rooms and files of the design, and tool files: nothing else lies at the top."""
    names = {name.partition("/")[0] for name in tracked()}
    assert (set(), set()) == (REQUIRED - names, names - ALLOWED)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_are_ours(room: str) -> None:
    """The names are common ones: a package of a dependency must not stand before ours."""
    module = importlib.import_module(room)
    assert str(ROOT / room / "__init__.py") == module.__file__


def test_package_files_are_empty() -> None:
    """A re-export in an __init__.py would make cycles that the rules on imports cannot see."""
    folders = [ROOT / folder for folder in [*ROOMS, "tests"]]
    packages = [path for folder in folders for path in folder.rglob("__init__.py") if "node_modules" not in path.parts]
    assert [str(path.relative_to(ROOT)) for path in packages if path.read_text().strip()] == []


def test_files_are_short() -> None:
    """One noun or one verb a file."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    """From `def` to the last line, docstring included; the message names the long ones."""
    long = {
        f"{path.relative_to(ROOT)}:{name}": lines
        for path in sources()
        for name, lines in functions(ast.parse(path.read_text()))
        if lines > MAX_FUNCTION_LINES
    }
    assert long == {}, "too long: " + ", ".join(f"{name} ({lines})" for name, lines in long.items())


def test_the_measure_sees_methods_and_nested_functions() -> None:
    """The rule above would hold for anything if its measure missed a function."""
    tree = ast.parse("class A:\n    async def b(self):\n        def c():\n            pass\n        return c\n")
    assert [("A.b", 4), ("A.b.c", 2)] == list(functions(tree))


def test_imports_only_go_down() -> None:
    """import-linter's contracts hold."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()"]
    command += ["--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_names_a_machine_or_a_registry() -> None:
    """The project works anywhere: no path of one machine, no address of a package registry."""
    found = {}
    for name in tracked():
        text = (ROOT / name).read_bytes().decode("utf-8", errors="replace")
        if words := [word for word in FORBIDDEN if word in text]:
            found[name] = words
    assert found == {}
