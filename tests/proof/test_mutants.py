"""The histories find what they are for: with any one cure taken out one of them fails, with it in place that one passes."""

import pytest

from tests.proof.history import run
from tests.proof.mutants import MUTANTS
from tests.proof.plans import plan_of


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_history_finds_that(name: str) -> None:
    mutant = MUTANTS[name]
    plans = (plan_of(seed, mutant.families) for seed in range(mutant.histories))
    with mutant.taken_out():
        found = next((plan for plan in plans if run(plan).wrong), None)
    assert found is not None, f"{mutant.histories} histories do not show that {mutant.cure}"
    assert not run(found).wrong, "the cure is what makes the difference"
