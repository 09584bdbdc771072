"""How long a job may be silent: pure arithmetic on what was seen and when."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.ports import Queued, Running
from services.stuck import (
    LONGEST_LOOK,
    UNANSWERED,
    Silence,
    Verdict,
    duration,
    generation_bound,
    sign_of,
    training_bound,
)
from tests.fakes import NOON

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
BOUND = 10 * MINUTE
SIGN = sign_of(Queued(position=3))


def looked(*, minutes: int, start: Silence | None = None) -> Silence:
    """Somebody saw the same sign every minute."""
    silence = start or Silence.begin(NOON).heard(SIGN, NOON, bound=BOUND)
    for _ in range(minutes):
        silence = silence.heard(SIGN, silence.looked_at + MINUTE, bound=BOUND)
    return silence


@pytest.mark.parametrize(
    ("minutes", "verdict"),
    [(0, Verdict.WAIT), (9, Verdict.WAIT), (10, Verdict.ASK), (19, Verdict.ASK), (20, Verdict.END), (60, Verdict.END)],
)
def test_the_bound_and_twice_the_bound(minutes: int, verdict: Verdict) -> None:
    """Silence is waited for, then asked about, then ended."""
    assert verdict is looked(minutes=minutes).verdict


def test_asked_once() -> None:
    """Until the end; a sign of life begins everything anew."""
    asked = replace(looked(minutes=10), asked=True)
    assert Verdict.WAIT is asked.verdict
    assert Verdict.END is looked(minutes=10, start=asked).verdict
    alive = asked.heard(sign_of(Queued(position=2)), asked.looked_at + MINUTE, bound=BOUND)
    assert (timedelta(), False, Verdict.WAIT) == (alive.silent, alive.asked, alive.verdict)
    assert Verdict.ASK is replace(alive, silent=BOUND).verdict


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Queued(position=2), Queued(position=1)),
        (Queued(position=0), Running()),
        (Running(), Running(logs=["a"])),
        (Running(logs=["a"]), Running(logs=["a", "a"])),
        (Running(logs=["a", "b"]), Running(logs=["b", "c"])),
    ],
)
def test_signs_of_life(before: Queued | Running, after: Queued | Running) -> None:
    """A place in the queue, a beginning, a log line."""
    assert sign_of(before) != sign_of(after)
    assert sign_of(before) == sign_of(before)


def test_time_in_which_nobody_looked_does_not_count() -> None:
    """A process that was stopped for a day has seen two minutes of silence; a clock set back has seen none."""
    silence = Silence.begin(NOON).heard(SIGN, NOON, bound=BOUND)
    assert LONGEST_LOOK == silence.heard(SIGN, NOON + 24 * HOUR, bound=BOUND).silent
    assert timedelta() == silence.heard(SIGN, NOON - HOUR, bound=BOUND).silent
    assert LONGEST_LOOK == silence.refused(NOON + 24 * HOUR).unanswered


def test_no_answer_is_not_the_jobs_silence() -> None:
    """A day of it is waited for, however short the bound; any answer begins it anew."""
    silence = looked(minutes=9)
    for _ in range(24 * 60 - 1):
        silence = silence.refused(silence.looked_at + MINUTE)
    assert (9 * MINUTE, Verdict.WAIT) == (silence.silent, silence.verdict)
    assert Verdict.END is silence.refused(silence.looked_at + MINUTE).verdict
    answered = silence.heard(SIGN, silence.looked_at + MINUTE, bound=BOUND)
    assert (timedelta(), Verdict.ASK) == (answered.unanswered, answered.verdict)


@pytest.mark.parametrize(
    ("status", "steps_take", "minutes"),
    [
        (Queued(position=0), 380, 120),
        (Running(logs=["a"]), 3620, 30),
        (Running(), 380, 30),
        (Running(), 3600, 120),
    ],
)
def test_bounds_of_trainings(status: Queued | Running, steps_take: float, minutes: int) -> None:
    """The queue is patient; a trainer that logs nothing has twice the time its steps should take."""
    assert minutes * MINUTE == training_bound(status, expected_seconds=steps_take)


def test_bounds_of_generations() -> None:
    """They take seconds, once they run."""
    assert (2 * HOUR, 10 * MINUTE) == (generation_bound(Queued(position=0)), generation_bound(Running()))


@pytest.mark.parametrize(
    ("minutes", "text"), [(30, "30 minutes"), (60, "1 hour"), (90, "90 minutes"), (120, "2 hours"), (1440, "24 hours")]
)
def test_durations_for_people(minutes: int, text: str) -> None:
    """Whole minutes or hours."""
    assert text == duration(timedelta(minutes=minutes, seconds=20))


def test_the_words() -> None:
    """What watchers read, and what the failure says."""
    assert "No sign of life for 10 minutes; asking the provider" == looked(minutes=10).question
    assert "its job showed no sign of life for 20 minutes." == looked(minutes=20).reason
    assert "it has not answered for 24 hours." == replace(looked(minutes=1), unanswered=UNANSWERED).reason
