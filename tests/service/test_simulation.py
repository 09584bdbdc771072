"""The seeded simulation: thousands of lives with every kind of fault, and no invariant broken."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.runner import Outcome, run_everywhere, trace_of

TESTS = Path(__file__).parents[1]
MATRIX = TESTS.parent / "docs" / "reliability.md"
SEEDS = 2000
REACHED = (
    "training COMPLETED", "training COMPLETED, free", "training FAILED", "training CANCELLED", "generation COMPLETED",
    "generation COMPLETED, free", "generation FAILED", "generation CANCELLED", "post submit_lost",
    "post submit_refused", "post submit_lost_unsent", "post submit_accepted_late", "post submit_rejected",
    "run webhook", "run rescue", "run cancel", "killed processes", "stopped processes", "runs begun again", "retries",
    "calls given up as lost", "watchers", "days of allowance",
)  # fmt: skip


@pytest.mark.timeout(600)
def test_no_seed_breaks_an_invariant() -> None:
    """Whatever is lost, doubled, delayed, killed or stopped: I1 to I8 hold when it is over.

    Each end and each fault has happened, so that its absence of harm means something.
    """
    failed: list[Outcome] = []
    counts: Counter[str] = Counter()
    for outcomes, happened in run_everywhere(0, SEEDS, processes=2):
        failed += outcomes
        counts += happened
    assert not failed, "\n".join(map(str, failed))
    assert [] == [name for name in REACHED if not counts[name]]


def test_a_seed_can_be_repeated() -> None:
    """The same seed is the same run in another process too, after another seed; another seed is another run."""
    first, again, other = trace_of(11), trace_of(11), trace_of(12)
    assert (True, False) == (first == again, first == other)


def test_a_failed_seed_says_how_to_repeat_it() -> None:
    """The command is there to be copied, with the problems below it."""
    failed = Outcome(seed=77, problems=("a job was paid twice",), mutant="refund_twice")
    command = "python -m tests.simulation --from 77 --seeds 1 --mutant refund_twice"
    assert f"seed 77 failed; repeat it with: {command}\n  a job was paid twice" == str(failed)


def test_every_test_that_the_fault_matrix_names_exists() -> None:
    """`file::test`, and `::test` for the same file as before."""
    file, missing = "", []
    for path, name in re.findall(r"`((?:[\w/]+\.py)?)::(\w+)`", MATRIX.read_text()):
        file = path or file
        if f"def {name}(" not in (TESTS / file).read_text():
            missing.append(f"{file}::{name}")
    assert [] == missing
