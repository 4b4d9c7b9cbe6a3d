"""Kafka's column in the table of troubles in docs/destinations.md."""

import pytest

from tests.destinations.store_faults import Kafka
from tests.destinations.test_store_faults import CELLS, compare

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("trouble", [trouble for kind, trouble in CELLS if kind == "kafka"])
def test_nothing_is_lost_and_no_more_repeated_than_it_says(broker, trouble):
    compare(Kafka(broker).troubles[trouble](), ("kafka", trouble))


def test_every_trouble_that_is_tried_has_its_cell(broker):
    assert {("kafka", trouble) for trouble in Kafka(broker).troubles} == {key for key in CELLS if key[0] == "kafka"}
