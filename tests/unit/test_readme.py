"""The README tells the truth about the settings and the codes of errors."""

import re
from collections.abc import Iterator
from pathlib import Path

from likeness.http.errors import Code
from likeness.settings import Settings
from likeness.settings_table import settings_table
from models.errors import (
    ErrorCode,
    Internal,
    LikenessError,
    PhotoRejected,
    ProviderError,
    ResultUnusable,
    StorageDown,
    StorageRefused,
)
from services.stuck import GivenUp

README = Path(__file__).parents[2] / "README.md"
OF_JOBS = (ProviderError, StorageDown, StorageRefused, ResultUnusable, Internal)  # what ends a run
OF_PHOTOS = {"FILE_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "IMAGE_UNREADABLE", "IMAGE_TOO_SMALL"}


def listed_codes(row: str) -> set[str]:
    """The codes in a row of the table of errors, which is named by its beginning."""
    [line] = [line for line in README.read_text("utf-8").splitlines() if line.startswith(f"| {row}")]
    return set(re.findall(r"`([A-Z_]+)`", line))


def classes(root: type[LikenessError]) -> Iterator[type[LikenessError]]:
    """A class of failures of ours and all below it."""
    yield root
    for child in root.__subclasses__():
        if child.__module__.startswith(("models.", "services.")):
            yield from classes(child)


def test_the_readme_holds_the_table_of_settings() -> None:
    """Every setting is there with its default and its meaning; `likeness.settings_table` prints the rows."""
    missing = [row for row in settings_table().splitlines() if row not in README.read_text("utf-8").splitlines()]
    assert [] == missing
    assert settings_table() in README.read_text("utf-8")


def test_every_setting_has_a_row_with_a_description() -> None:
    """The table has two lines of head and one row of three cells per setting."""
    rows = [row.split(" | ") for row in settings_table().splitlines()[2:]]
    assert [f"| `{name.upper()}`" for name in Settings.model_fields] == [row[0] for row in rows]
    assert {3} == {len(row) for row in rows}
    assert [] == [row[0] for row in rows if not row[2].rstrip(" |").endswith(".")]


def test_the_codes_of_failed_jobs() -> None:
    """Those of every failure that a run can end with, and no others."""
    codes = {failure.code for root in OF_JOBS for failure in classes(root)}
    assert GivenUp in set(classes(ProviderError))
    assert codes == listed_codes("`error` of a training or generation")


def test_the_codes_of_user_errors() -> None:
    """Those of every other failure, of photos, and of our storage."""
    others = set(classes(LikenessError)) - {failure for root in OF_JOBS for failure in classes(root)} - {PhotoRejected}
    codes = {failure.code for failure in others} | OF_PHOTOS | {StorageDown.code}
    assert codes == listed_codes("`userErrors` of a mutation")


def test_every_code_has_a_row() -> None:
    """No code of the schema is missing but QUOTA_EXCEEDED, which is kept for clients and not given."""
    jobs, mutations = listed_codes("`error` of a training or generation"), listed_codes("`userErrors` of a mutation")
    assert set(ErrorCode) - {ErrorCode.QUOTA_EXCEEDED} == jobs | mutations


def test_the_codes_of_whole_requests() -> None:
    """All that HTTP and websocket know."""
    assert set(Code) == listed_codes("`errors[].extensions.code`")
