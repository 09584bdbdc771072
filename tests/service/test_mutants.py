"""Each rule that is made wrong is noticed by the simulation, which is what the simulation is worth."""

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.runner import first_failures

WITHIN = 300  # seeds


@pytest.mark.timeout(600)
def test_every_wrong_rule_is_noticed() -> None:
    """A few hundred seeds are enough to see it."""
    found = first_failures(list(MUTANTS), within=WITHIN, processes=2)
    assert [] == [mutant for mutant, outcome in found.items() if outcome is None]
