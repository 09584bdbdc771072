"""The README tells the truth about the settings."""

from pathlib import Path

from likeness.settings import Settings
from likeness.settings_table import settings_table

README = Path(__file__).parents[2] / "README.md"


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
