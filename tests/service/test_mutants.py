"""Each rule that is made wrong is noticed by the simulation, which is what the simulation is worth."""

import functools
from collections.abc import Mapping

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.runner import Outcome, first_failures

WITHIN = 300  # seeds


@functools.cache
def failures() -> Mapping[str, Outcome | None]:
    """The first seed that each mutant breaks."""
    return first_failures(list(MUTANTS), within=WITHIN, processes=2)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_rule_is_noticed(mutant: str) -> None:
    """A few hundred seeds are enough to see it."""
    assert failures()[mutant] is not None
