"""The log of a request so far, the way the trainers write it: other bars first, then tqdm lines of the training.

No captured log of a fal trainer is public; the form is that of sister trainers on other hosts.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from likeness.sandbox.life import (
    CAPTION_SECONDS,
    DOWNLOAD_SECONDS,
    LOADING_SECONDS,
    SECONDS_PER_STEP,
    SETUP_SECONDS,
    UPLOAD_SECONDS,
    Failure,
    Phase,
    Request,
)
from likeness.sandbox.stamps import stamp

LINES_OF_TRAINING = 50
PIPELINE_PARTS = 7
GENERATION_STEPS = 28
_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A log line and the second of the run, at speed 1, in which it appears."""

    at: float
    message: str
    level: str = "STDERR"


def log_entries(request: Request, *, phase: Phase) -> list[dict[str, Any]]:
    """The cumulative log at `phase`, oldest first, as fal shows it."""
    return [_entry(request, line) for line in timeline(request) if line.at <= phase.elapsed]


def timeline(request: Request) -> list[Line]:
    """Every line the request will write, in order, less than 40 KB in all."""
    lines = list(_training(request) if request.plan.steps else _generation(request))
    end = (request.ended_at - request.started_at) * request.speed
    kept = [line for line in lines if line.at <= end]
    if request.plan.failure is Failure.INTERNAL and not request.is_cancelled:
        kept.append(Line(at=end, level="ERROR", message="RuntimeError: CUDA error: an illegal memory access"))
    return kept


def bar(label: str, *, done: int, total: int, seconds: float, loss: float | None = None) -> str:
    """One line of a tqdm bar: `done` of `total` after `seconds`."""
    share = done / total
    full, eighth = divmod(round(share * 80), 8)
    cells = ("█" * full + (_EIGHTHS[eighth] if eighth else "")).ljust(10)
    tail = "" if loss is None else f", loss: {loss:.4f}"
    if done == 0:
        return f"{label}: {share:4.0%}|{cells}| 0/{total} [00:00<?, ?it/s{tail}]"
    left = seconds / done * (total - done)
    pace = f"{_clock(seconds)}<{_clock(left)}, {_rate(done, seconds)}"
    return f"{label}: {share:4.0%}|{cells}| {done}/{total} [{pace}{tail}]"


def _training(request: Request) -> Iterator[Line]:
    images = max(request.plan.images, 1)
    yield Line(at=0.0, level="INFO", message="Downloading the training data")
    yield from _bar_lines(request, "Downloading images", total=images, start=0.0, seconds=DOWNLOAD_SECONDS)
    yield from _bar_lines(
        request, "Captioning images", total=images, start=DOWNLOAD_SECONDS, seconds=CAPTION_SECONDS / 2
    )
    yield from _bar_lines(
        request,
        "Creating masks",
        total=images * 2,
        start=DOWNLOAD_SECONDS + CAPTION_SECONDS / 2,
        seconds=CAPTION_SECONDS / 2,
    )
    yield from _bar_lines(
        request,
        "Loading pipeline components...",
        total=PIPELINE_PARTS,
        start=DOWNLOAD_SECONDS + CAPTION_SECONDS,
        seconds=LOADING_SECONDS,
    )
    yield from _step_lines(request)
    uploaded = SETUP_SECONDS + request.plan.steps * SECONDS_PER_STEP
    yield Line(at=uploaded, level="INFO", message="Uploading pytorch_lora_weights.safetensors")
    yield Line(at=uploaded + UPLOAD_SECONDS / 2, level="INFO", message="Uploading config.json")
    yield Line(at=uploaded + UPLOAD_SECONDS, level="INFO", message="Training finished")


def _step_lines(request: Request) -> Iterator[Line]:
    total = request.plan.steps
    noise = random.Random(request.request_id)  # noqa: S311 - decoration of a log
    marks = sorted({math.ceil(total * n / LINES_OF_TRAINING) for n in range(LINES_OF_TRAINING + 1)})
    for step in marks:
        loss = 0.28 * math.exp(-2.2 * step / total) + 0.09 + noise.uniform(-0.012, 0.012)
        seconds = step * SECONDS_PER_STEP / request.speed
        message = bar("flux_train", done=step, total=total, seconds=seconds, loss=loss if step else None)
        yield Line(at=SETUP_SECONDS + step * SECONDS_PER_STEP, message=message)


def _generation(request: Request) -> Iterator[Line]:
    yield Line(at=0.0, level="INFO", message="Loading the model")
    yield from _bar_lines(request, "Denoising", total=GENERATION_STEPS, start=0.5, seconds=2.0)
    yield Line(at=2.8, level="INFO", message="Uploading the output")


def _bar_lines(request: Request, label: str, *, total: int, start: float, seconds: float) -> Iterator[Line]:
    for done in sorted({0, math.ceil(total / 2), total}):
        spent = seconds * done / total
        message = bar(label, done=done, total=total, seconds=spent / request.speed)
        yield Line(at=start + spent, message=message)


def _entry(request: Request, line: Line) -> dict[str, Any]:
    when = stamp(request.started_at + line.at / request.speed)
    return {"message": line.message, "timestamp": when, "level": line.level, "source": "USER"}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _rate(done: int, seconds: float) -> str:
    rate = done / max(seconds, 1e-6)
    return f"{rate:5.2f}it/s" if rate >= 1 else f"{1 / rate:5.2f}s/it"
