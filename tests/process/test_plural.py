"""Numbers of things, as people write them."""

import pytest

from transforms.process.plural import counted


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 events"), (1, "1 event"), (2, "2 events"), (12_000, "12,000 events"), (-1, "-1 events")]
)
def test_one_is_singular_and_thousands_have_commas(number, said):
    assert counted(number, "event") == said
