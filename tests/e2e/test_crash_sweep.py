"""kill -9 at every named place of a job's life: the same end, one paid call, every event, every credit.

By default at the places where most is at stake; CRASH_POINTS=all takes every one.
"""

import os
from pathlib import Path

import pytest

from tests.e2e.crashing.points import CRASH_POINTS, located
from tests.e2e.crashing.sweep import expected, sweep

DEFAULT = [
    "training.accept:before-commit", "training.enqueue:before", "archive.upload:after", "training.intent:after",
    "training.post:unanswered", "training.adopt:after", "weights.put:after", "training.close:before",
    "generation.enqueue:before", "generation.post:unanswered", "picture.put:after",
    "generation.complete:before-telling",
]  # fmt: skip
POINTS = list(CRASH_POINTS) if os.environ.get("CRASH_POINTS") == "all" else DEFAULT
LIVES = 4  # points that one server dies at in turn: a test of its own, so that tests can be run beside each other
SHARES = [POINTS[first : first + LIVES] for first in range(0, len(POINTS), LIVES)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("names", SHARES, ids=", ".join)
async def test_jobs_survive_their_process(tmp_path: Path, names: list[str]) -> None:
    """It died there once; each job ended well, was paid for once, told everything once, and left its file."""
    for outcome in await sweep(tmp_path, names, lanes=1):
        status, submits, spent = expected(outcome.point)
        assert (outcome.point, 1, status, submits, spent, True) == (
            outcome.point, outcome.deaths, outcome.status, outcome.submits, outcome.spent, outcome.balanced,
        )  # fmt: skip
        assert list(range(1, len(outcome.seqs) + 1)) == outcome.seqs
        assert 1 == outcome.final_events
        assert (outcome.file_bytes > 1000) == (status == "COMPLETED")


@pytest.mark.parametrize("name", CRASH_POINTS)
def test_every_point_is_a_place_in_the_program(name: str) -> None:
    """A name that nobody has any more would be a sweep that never dies."""
    owner, attribute = located(CRASH_POINTS[name].target)
    assert callable(getattr(owner, attribute, None))
