"""Connections to Duo as all clients of a process share them: how many, in which order, and when one is closed."""

import contextlib
import resource
import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import now_ms
from tests.duo.test_client import call_for
from tests.duo.test_feed_steps import JumpingClock
from transforms.duo.client.client import DuoClient
from transforms.duo.client.connections import IDLE_SECS, Connections, Place
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import RetryLater
from transforms.process import descriptors
from transforms.secrets import SecretRef

AUTH = LOG_TYPES["auth"]


@pytest.fixture
def clock():
    return JumpingClock()


@pytest.fixture
def connections(clock):
    made = Connections(2, clock)
    yield made
    made.close_idle()


@pytest.fixture
def client(account, connections):
    return DuoClient(account, user_agent="test", timeout_secs=5, connections=connections)


def fetch(client):
    return client.fetch_page(AUTH, call_for(now_ms() - 1000, now_ms()))


def somewhere(name="api-00000000.example.com"):
    return Place(name, 443, None, ssl.create_default_context())


@contextlib.contextmanager
def no_descriptor_left():
    """As if all others were in use."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_clients_of_the_same_place_share_a_connection(account, connections, client, simulator):
    other = DuoClient(account, user_agent="test", timeout_secs=5, connections=connections)
    for each in (client, other, client):
        fetch(each)

    assert other.place == client.place
    assert len(connections.idle_at(client.place)) == 1


def test_no_more_are_lent_than_may_be_open_and_who_comes_first_is_served_first(connections, eventually):
    place, order = somewhere(), []

    def want(name):
        with connections.lent(place, 10):
            order.append(name)

    with contextlib.ExitStack() as both:
        for _ in range(2):
            both.enter_context(connections.lent(place, 1))
        threads = []
        for name in "abcd":
            threads.append(threading.Thread(target=want, args=(name,)))
            threads[-1].start()
            eventually(lambda: len(connections._waiting) == len(threads))
        with pytest.raises(RetryLater, match="None of the 2 connections") as caught, connections.lent(place, 0.05):
            pass
        assert caught.value.kind == "connections"
        assert order == []
        connections.most = 1
    for thread in threads:
        thread.join(10)

    assert order == list("abcd")


def test_an_idle_connection_makes_way_for_one_to_another_place(account, connections, client):
    connections.most = 1
    fetch(client)
    with connections.lent(somewhere(), 1):
        assert connections.idle_at(client.place) == []


def test_an_idle_connection_that_its_peer_has_closed_is_closed_here_too(clock, connections, client, simulator):
    fetch(client)
    (kept,) = connections.idle_at(client.place)
    sock = kept.sock
    kept.sock.shutdown(socket.SHUT_RDWR)
    clock.sleep(2)
    connections.tidy()

    assert connections.idle_at(client.place) == []
    assert sock.fileno() == -1


def test_an_idle_connection_is_closed_when_it_is_old_and_when_its_client_has_nothing_to_ask(clock, connections, client):
    fetch(client)
    clock.sleep(IDLE_SECS + 1)
    connections.tidy()
    assert connections.idle_at(client.place) == []

    fetch(client)
    client.close()
    assert connections.idle_at(client.place) == []
    assert fetch(client).rows == []


def test_a_call_without_a_descriptor_says_what_is_short_and_the_next_one_succeeds(client, connections):
    with no_descriptor_left(), pytest.raises(RetryLater, match=r"No file descriptor is left.*LimitNOFILE") as caught:
        fetch(client)
    assert caught.value.kind == "descriptors"
    assert connections.ran_out == 1
    assert fetch(client).rows == []


def test_where_descriptors_run_out_idle_connections_are_closed_and_fewer_are_open_for_a_minute(
    account, clock, connections, client
):
    connections.most = 100
    fetch(client)
    elsewhere = DuoClient(replace(account, port=1), user_agent="test", timeout_secs=5, connections=connections)
    with contextlib.ExitStack() as stack:
        for _ in range(9):
            stack.enter_context(connections.lent(somewhere(), 1))
        with no_descriptor_left(), pytest.raises(RetryLater):
            fetch(elsewhere)
        assert connections.idle_at(client.place) == []
        with pytest.raises(RetryLater, match="None of the 5"), connections.lent(somewhere(), 0.01):
            pass
        clock.sleep(61)
        with connections.lent(somewhere(), 0.01):
            pass


@pytest.mark.parametrize("what", ["secret", "config", "ca", "name"])
def test_a_secret_a_ca_file_and_a_name_that_want_a_descriptor_are_tried_again(account, authority, tmp_path, connections, what):
    # A copy, because contexts are kept by file.
    (tmp_path / "ca.pem").write_bytes(Path(authority.ca_file).read_bytes())
    (tmp_path / "c.yml").write_text("key: value")
    changed = {
        "secret": lambda: account,
        "config": lambda: replace(account, skey=SecretRef("config", f"{tmp_path}/c.yml#key")),
        "ca": lambda: replace(account, skey=SecretRef("env", "PATH"), ca_file=str(tmp_path / "ca.pem")),
        "name": lambda: replace(account, skey=SecretRef("env", "PATH"), api_host="api-00000000.example.com"),
    }[what]()
    with no_descriptor_left(), pytest.raises(RetryLater, match="No file descriptor is left") as caught:
        fetch(DuoClient(changed, user_agent="test", timeout_secs=5, connections=connections))
    assert caught.value.kind == "descriptors"


def test_the_limit_leaves_a_reserve_for_everything_but_duo(monkeypatch):
    monkeypatch.setattr(descriptors, "in_use", lambda: 20)
    for limit, connections in ((64, 4), (128, 68), (1024, 748), (40, 1)):
        monkeypatch.setattr(descriptors, "limit", lambda limit=limit: limit)
        assert descriptors.left_for_duo() == connections
