"""Two copies with one credential share a limit, and one that is alone again takes all of it. Virtual time."""

import pytest

from tests.duo.virtual_limits import HOUR, Bucket, OthersUntil, run


def shares_of_two(limit, late, seed):
    """The first copy's share, and both copies' part of the limit, in the last four of seven hours together."""
    first, second = run(limit, late + 7 * HOUR, starts=(0.0, late), seed=seed)
    a, b = first.answered(late + 3 * HOUR), second.answered(late + 3 * HOUR)
    return a / (a + b), (a + b) / (limit.per_minute * 240)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("per_minute", "burst"), [(10, 10), (50, 20), (120, 20)])
def test_a_copy_that_joins_gets_its_half_of_a_bucket_and_nothing_is_left_unused(per_minute, burst, seed):
    share, used = shares_of_two(Bucket(per_minute, burst), HOUR, seed)

    assert 0.4 <= share <= 0.6
    assert used >= 0.95


@pytest.mark.parametrize("seed", range(5))
def test_two_copies_that_start_together_get_their_halves(seed):
    share, used = shares_of_two(Bucket(120, 20), 0.013, seed)

    assert 0.4 <= share <= 0.6
    assert used >= 0.95


@pytest.mark.parametrize("late", [0.013, HOUR], ids=["together", "an hour later"])
@pytest.mark.parametrize("per_minute", [10, 50])
def test_where_calls_are_counted_one_by_one_copies_take_turns_and_neither_starves(per_minute, late):
    results = [shares_of_two(Bucket(per_minute), late, seed) for seed in range(8)]
    shares = [share for share, _ in results]

    assert 0.4 <= sum(shares) / len(shares) <= 0.6
    assert min(shares) >= 0.1
    assert max(shares) <= 0.9
    assert min(used for _, used in results) >= 0.5


def test_a_copy_that_is_alone_again_takes_the_whole_limit():
    (copy,) = run(OthersUntil(Bucket(50, 20), 2 * HOUR), 8 * HOUR)

    assert copy.answered(HOUR, 2 * HOUR) <= 0.6 * 50 * 60
    assert copy.answered(7 * HOUR) >= 0.95 * 50 * 60
