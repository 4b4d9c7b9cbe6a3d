"""What the tests with a real Kafka share: one broker for all of them."""

from collections.abc import Iterator

import pytest
import trustme

from tests.destinations.kafka.broker import Broker


@pytest.fixture(scope="session")
def authority_of_broker() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory: pytest.TempPathFactory, authority_of_broker: trustme.CA) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("kafka"), authority_of_broker) as broker:
        yield broker


@pytest.fixture
def broker(shared_broker: Broker) -> Iterator[Broker]:
    """It runs when a test begins, and when it ends: the next one needs it."""
    yield shared_broker
    if shared_broker.running:
        shared_broker.resume()
    else:
        shared_broker.start()
