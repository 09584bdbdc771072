"""Live progress of trainings and generations: bars on a terminal, plain lines elsewhere."""

from typing import Any, Final, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

_NEWS_PERCENT: Final = 5.0


class LiveProgress:
    """A context manager; `show` takes one progress event of the API, `label` tells several jobs apart."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = _Bars(console) if console.is_terminal else None
        self._lines: dict[str, _Line] = {}

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bars:
            self._bars.progress.stop()

    def show(self, event: dict[str, Any], *, label: str = "") -> None:
        """Draw an event of `trainingProgress` or `generationProgress`."""
        if self._bars:
            self._bars.show(event, label=label)
        elif self._lines.setdefault(label, _Line()).is_news(event):
            prefix = f"{label}: " if label else ""
            self._console.print(prefix + line_of(event), markup=False, highlight=False, soft_wrap=True)


class _Bars:
    """A bar for each label; generations have no percentage, so theirs only moves."""

    def __init__(self, console: Console) -> None:
        columns = (BarColumn(bar_width=30), TextColumn("{task.fields[percent]}"), TextColumn("{task.description}"))
        self.progress = Progress(*columns, TextColumn("{task.fields[details]}", style="dim"), console=console)
        self._tasks: dict[str, TaskID] = {}

    def show(self, event: dict[str, Any], *, label: str) -> None:
        if label not in self._tasks:
            self._tasks[label] = self.progress.add_task("", total=None, percent="", details="")
        percent = _percent(event)
        total, text = (None, "") if percent is None else (100.0, f"{percent:5.1f} %")
        message = f"{label}: {event['message']}" if label else event["message"]
        shown: dict[str, Any] = {"description": escape(message), "percent": text, "details": escape(details_of(event))}
        self.progress.update(self._tasks[label], total=total, completed=percent or 0.0, **shown)


class _Line:
    """What was printed last about one job."""

    def __init__(self) -> None:
        self._said: str | None = None
        self._percent = 0.0

    def is_news(self, event: dict[str, Any]) -> bool:
        """Whether the message is another one, or 5 % have been gained; a message that counts steps is one message."""
        said = event["status"] + (event["stage"] if event.get("step") is not None else event["message"])
        percent = _percent(event) or 0.0
        if said == self._said and percent < self._percent + _NEWS_PERCENT:
            return False
        self._said, self._percent = said, percent
        return True


def line_of(event: dict[str, Any]) -> str:
    """An event as one plain line."""
    percent = _percent(event)
    parts = [f"{percent:5.1f} %" if percent is not None else "", event["message"], details_of(event)]
    return "  ".join(part for part in parts if part)


def details_of(event: dict[str, Any]) -> str:
    """Step and remaining time, as far as they are known and the message does not say them already."""
    parts = []
    step = f"{event.get('step')}/{event.get('totalSteps')}"
    if "None" not in step and step not in event["message"]:
        parts.append(f"step {step}")
    if event.get("etaSeconds"):
        minutes, seconds = divmod(event["etaSeconds"], 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return ", ".join(parts)


def _percent(event: dict[str, Any]) -> float | None:
    percent: float | None = event.get("percent")
    return 100.0 if percent is None and event["status"] == "COMPLETED" else percent
