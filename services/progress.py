"""Pure: the provider's log lines to a step, a percentage and an ETA."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from models.status import STAGE_WINDOWS, TrainingStage

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# Bounded: Python refuses to read numbers of more than 4,300 digits, and open repetitions take quadratic time.
BAR = re.compile(r"(?<![\d/])(\d{1,9})/(\d{1,9})(?![\d/])(?:\s{0,9}\[[^\]<]{0,40}<([\d:?]{1,20}))?", re.ASCII)
STEP = re.compile(r"\bsteps?:?\s{1,9}(\d{1,9})\s{0,9}(?:/|of)\s{0,9}(\d{1,9})(?!\d)", re.ASCII | re.IGNORECASE)
PERCENT = re.compile(r"\btrain\w{0,20}\b[^%]{0,200}?(\d{1,9}(?:\.\d{1,9})?)\s{0,9}%", re.ASCII | re.IGNORECASE)
LONGEST_ETA = 30 * 24 * 3600  # seconds; more is no estimate, and the column holds 32 bits


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What the newest readable log line says; `fraction` is 0 to 1."""

    fraction: float
    step: int | None = None
    eta_seconds: int | None = None


def parse_logs(lines: Sequence[str], *, total_steps: int) -> Parsed | None:
    """Read the whole cumulative log and return the furthest point it shows, or None when no line is readable.

    A tqdm bar counts only when its total is the number of steps asked for: downloads, captions and masks have bars of
    their own. Else `Step a/b`, else a percentage on a line that speaks of training.
    """
    found = [parsed for line in lines for part in _parts(line) if (parsed := _parse(part, total_steps))]
    return max(found, key=lambda parsed: parsed.fraction, default=None)


def _parts(line: str) -> list[str]:
    return re.split(r"[\r\n]", ANSI.sub("", line))


def _parse(text: str, total: int) -> Parsed | None:
    bars = [bar for bar in BAR.finditer(text) if int(bar[2]) == total and int(bar[1]) <= total]
    if bars:
        return _at(int(bars[-1][1]), total, _seconds(bars[-1][3]))
    steps = [step for step in STEP.finditer(text) if int(step[2]) == total and int(step[1]) <= total]
    if steps:
        return _at(int(steps[-1][1]), total, None)
    if match := PERCENT.search(text):
        fraction = min(float(match[1]), 100.0) / 100
        return Parsed(fraction=fraction)
    return None


def _at(step: int, total: int, eta: int | None) -> Parsed:
    return Parsed(fraction=step / total, step=step, eta_seconds=eta)


def _seconds(text: str | None) -> int | None:
    """tqdm's remaining time `MM:SS` or `H:MM:SS`; `?` when it does not know."""
    if not text or "?" in text:
        return None
    seconds = 0
    for part in text.split(":"):
        seconds = seconds * 60 + int(part or 0)
    return seconds if seconds <= LONGEST_ETA else None


def estimated(elapsed: float, expected: float) -> Parsed:
    """Progress by the clock, for a log without readable steps; stops at 95 % however long it takes."""
    fraction = min(elapsed / expected, 0.95) if expected > 0 else 0.95
    return Parsed(fraction=fraction, eta_seconds=max(0, round(expected - elapsed)))


def overall_percent(stage: TrainingStage, fraction: float) -> float:
    """The overall percentage of a stage (seed 004's windows), below 100 until the training has completed."""
    low, high = STAGE_WINDOWS[stage]
    return min(low + (high - low) * min(max(fraction, 0.0), 1.0), 99.9)
