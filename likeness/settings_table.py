"""Every setting as the Markdown table of the README."""

from likeness.settings import Settings

HEAD = "| setting | default | what |\n|---|---|---|"


def settings_table() -> str:
    """The table, one row per setting in the order of `Settings`, without a newline at its end."""
    return "\n".join([HEAD, *(_row(name) for name in Settings.model_fields)])


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    default = "none" if field.default in (None, (), {}) else f"`{field.default}`"
    return f"| `{name.upper()}` | {default} | {field.description} |"
