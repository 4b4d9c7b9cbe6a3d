"""Whatever goes wrong, nothing is lost, nothing is invented, and a new event gets through: over some hundred histories.

Each family of trouble alone, and mixed. ``tests/run.sh proof --minutes 60`` goes on with others for as long as is wished.
"""

from collections import Counter

import pytest

from tests.packaging.test_architecture import orders_of_locks
from tests.proof.fakes import ORDERS
from tests.proof.history import Outcome, run
from tests.proof.plans import FAMILIES, Plan, plan_of, shrink

HISTORIES_OF_A_FAMILY = 15
MIXED_HISTORIES = 200
MIXED_AT_ONCE = 40

# A proof in which these never happened would prove nothing.
WITNESSES = (
    "SIEM reads none", "SIEM reads slow", "SIEM without power", "SIGTERM", "a bundle given up after delivery",
    "a bundle given up in its middle", "a finalizer that never comes", "a late finalizer", "a page of HTML", "both died",
    "one SIEM away for long",
    "cable cut", "clock jumps", "closed with all read", "content lost with the power", "cut body", "empty answer",
    "events repeated", "finalizers in another order", "flipped bits", "goodbye before a reset", "half a body", "kill -9",
    "late rows", "names lost with the power", "no answer", "odd rows", "off for long", "page refused", "power cut",
    "rate limited", "reset with unread bytes", "rows hidden by an empty answer", "server error", "short writes", "starts again",
    "ENOSPC", "EIO", "wrong date", "a count too high",
    "requests of another time", "a proxy's 401", "SIEM refuses some", "messages refused",
)  # fmt: skip


@pytest.fixture(scope="module")
def seen() -> Counter[str]:
    """What happened in all histories of this module."""
    return Counter()


def proved(plan: Plan, seen: Counter[str]) -> None:
    """Runs a plan; a failure is told with its seed and the smallest plan that fails as well."""
    outcome = run(plan)
    seen.update(outcome.counts)
    if outcome.wrong:
        smallest = shrink(plan, fails=lambda smaller: bool(run(smaller).wrong), attempts=40)
        pytest.fail(f"{outcome}\n\nand, with less trouble:\n{run(smallest)}", pytrace=False)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_one_kind_of_trouble_loses_nothing(family: str, seen: Counter[str]) -> None:
    for seed in range(HISTORIES_OF_A_FAMILY):
        proved(plan_of(seed, (family,)), seen)


@pytest.mark.parametrize("first_seed", range(1000, 1000 + MIXED_HISTORIES, MIXED_AT_ONCE))
def test_troubles_of_several_kinds_lose_nothing(first_seed: int, seen: Counter[str]) -> None:
    for seed in range(first_seed, first_seed + MIXED_AT_ONCE):
        proved(plan_of(seed), seen)


def test_the_histories_were_full_of_trouble(seen: Counter[str]) -> None:
    assert seen, "it counts what the histories before it met"
    assert not [witness for witness in WITNESSES if not seen[witness]]
    assert seen["events repeated"] < seen["events arrived"] / 2


def test_locks_were_taken_in_the_order_that_the_architecture_has(seen: Counter[str]) -> None:
    """docs/architecture.md; else two threads could wait for each other."""
    assert seen, "it looks at what the histories before it did"
    assert ORDERS
    assert sorted(ORDERS - orders_of_locks()) == []


def test_a_seed_gives_the_same_history_again() -> None:
    one, other = (run(plan_of(7, ("process", "SIEM"))) for _ in range(2))
    assert (one.counts, one.virtual_secs, one.log) == (other.counts, other.virtual_secs, other.log)


def test_a_failing_plan_is_cut_down_to_what_matters() -> None:
    plan = plan_of(3, ("process",))
    kills = [action for action in plan.actions if action.what.startswith(("kill", "power", "terminate"))]
    smallest = shrink(plan, fails=lambda p: kills[0] in p.actions)
    assert smallest.actions == (kills[0],)


def test_what_is_wrong_is_told_with_the_seed_that_shows_it() -> None:
    outcome = Outcome(plan_of(12))
    outcome.wrong.append("lost: 1 of 2 events")
    assert "lost: 1 of 2 events" in str(outcome)
    assert "--seed 12" in str(outcome)
