"""What a receiver acknowledged and never read: it is sent again, or kept, whatever the order in which connections end."""

import contextlib
import logging
import select
import socket
import ssl
import time
from dataclasses import replace
from unittest.mock import Mock

import pytest
import trustme
from apache_beam.utils.timestamp import Timestamp

from tests.destinations.peers import FAST, Peer, deliver, destination, eventually, messages, page, read_all, reset
from transforms.coders import DuoEvent, FormattedEvent, Stream
from transforms.destinations import health, idle_checker, pool
from transforms.destinations.sink import SendToDestination
from transforms.destinations.stream import tcp, tls
from transforms.destinations.stream.connection import ConnectionLost
from transforms.destinations.stream.goodbyes import Ending, Outcome
from transforms.destinations.stream.socket_probe import Peer as EndOf
from transforms.destinations.stream.tls import TlsConnection
from transforms.errors import RetryLater
from transforms.process.shutdown import STOP
from transforms.settings import Tls
from transforms.state.dead_letters.letter import read_dead_letters
from transforms.state.dead_letters.write import MAYBE_UNREAD, keep_unread

STREAM = Stream("acme", "auth")
QUICK = replace(FAST, read_within_secs=0.05, goodbye_idle_secs=0.05, goodbye_refused_secs=0.1)
PATIENT = replace(FAST, goodbye_idle_secs=60)  # says no goodbye of its own


@pytest.fixture(params=["tcp", "tls"])
def meet(request, tmp_path):
    """Makes a receiver that behaves as scripts say, and a sender to it, over each transport."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def met(*scripts, tuning=FAST):
        if request.param == "tcp":
            peer = Peer(*scripts)
            return peer, tcp.make(destination(peer.port), tuning)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        peer = Peer(*[_over_tls(context, script) for script in scripts])
        to = destination(peer.port, "tls", tls=Tls(ca_file=str(tmp_path / "ca.pem")))
        return peer, tls.make(to, tuning)

    return met


def _over_tls(context, script):
    def shaken(peer, connection):
        script(peer, context.wrap_socket(connection, server_side=True))

    return shaken


def hang_then_reset(secs: float):
    """Takes what comes and reads nothing of it; then its process dies."""

    def script(peer, connection):
        time.sleep(secs)
        reset(connection)

    return script


def goodbye_then_reset(secs: float):
    """Says that it sends nothing more, reads nothing, and dies later: as a process that is shut down with a full buffer."""

    def script(peer, connection):
        time.sleep(0.1)
        if isinstance(connection, ssl.SSLSocket):
            connection.settimeout(0.05)
            with contextlib.suppress(OSError):
                connection.unwrap()
        else:
            connection.shutdown(socket.SHUT_WR)
        time.sleep(secs)
        reset(connection)

    return script


def throw_away_and_close(peer, connection):
    """Once told to: says goodbye, reads what is left, keeps nothing of it, and closes. No reset can tell of that."""
    peer.done.wait(5)
    select.select([connection], [], [], 5)
    time.sleep(0.3)  # by then it is confirmed
    connection.settimeout(0.05)
    with contextlib.suppress(OSError):
        connection.unwrap()
    with contextlib.suppress(OSError):
        while socket.socket.recv(connection, 65536):
            pass
    connection.close()


def read_then_say_goodbye_after(secs: float):
    """Reads all that comes, and ends the connection itself."""

    def script(peer, connection):
        peer.received += connection.recv(65536).split(b"\n")[:-1]
        time.sleep(secs)
        connection.settimeout(0.05)
        with contextlib.suppress(OSError):
            connection.unwrap()
        connection.close()

    return script


def looked_after(sender, condition) -> None:
    eventually(lambda: sender.check() is None and condition())


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_receiver_that_hangs_and_is_reset_again_and_again_gets_everything_once_it_reads(meet, times):
    peer, sender = meet(*[hang_then_reset(0.3)] * times, read_all, tuning=QUICK)
    sent = messages(300)
    deliver(sender, sent)
    looked_after(sender, lambda: not peer.lost(sent))
    assert sender.given_up() == []


@pytest.mark.parametrize("between_secs", [0.0, 0.05, 1.5])
def test_a_reset_some_time_after_a_goodbye_is_still_seen(meet, between_secs):
    peer, sender = meet(goodbye_then_reset(between_secs), read_all)
    sent = messages(12)
    deliver(sender, sent)
    looked_after(sender, lambda: not peer.lost(sent))


def test_a_receiver_counts_as_back_once_what_it_lost_went_out_on_a_connection_that_was_never_away(meet):
    peer, sender = meet(goodbye_then_reset(0.5), read_all)
    deliver(sender, messages(12))
    time.sleep(0.3)
    deliver(sender, messages(12, start=12))
    looked_after(sender, lambda: not peer.lost(messages(24)))
    assert sender._health._trouble.over() is None


@pytest.mark.parametrize("meet", ["tls"], indirect=True)
@pytest.mark.parametrize("times", [1, 2])
def test_what_a_receiver_threw_away_behind_its_own_tls_goodbye_is_sent_again(meet, times):
    peer, sender = meet(*[throw_away_and_close] * times, read_all)
    sent = messages(12)
    deliver(sender, sent)
    peer.done.set()
    looked_after(sender, lambda: not peer.lost(sent))


@pytest.mark.parametrize("meet", ["tls"], indirect=True)
def test_what_is_thrown_away_at_a_tls_goodbye_between_two_bundles_goes_out_before_the_second(meet):
    peer, sender = meet(throw_away_and_close, read_all)
    deliver(sender, messages(12))
    peer.done.set()
    time.sleep(0.8)
    deliver(sender, messages(12, start=12))
    eventually(lambda: len(peer.received) >= 24)
    assert peer.received == messages(24)


@pytest.mark.parametrize("meet", ["tls"], indirect=True)
def test_what_was_acknowledged_long_before_a_tls_goodbye_was_read(meet):
    peer, sender = meet(read_then_say_goodbye_after(0.3), read_all, tuning=replace(PATIENT, goodbye_doubt_secs=0.2))
    deliver(sender, messages(12))
    time.sleep(0.6)  # how late the goodbye is seen makes no difference to when it was said
    sender.check()
    assert not sender._unread.in_doubt
    assert (peer.received, sender.resent) == (messages(12), 0)


@pytest.mark.parametrize("meet", ["tls"], indirect=True)
def test_how_late_a_tls_goodbye_is_seen_makes_nothing_read(meet):
    peer, sender = meet(throw_away_and_close, read_all, tuning=replace(PATIENT, goodbye_doubt_secs=1.0))
    deliver(sender, messages(12))
    peer.done.set()
    time.sleep(1.5)
    looked_after(sender, lambda: not peer.lost(messages(12)))


@pytest.mark.parametrize("meet", ["tls"], indirect=True)
def test_a_receiver_that_soon_ends_each_tls_connection_itself_gets_everything_three_times_at_most(meet):
    peer, sender = meet(read_then_say_goodbye_after(0.3), tuning=replace(PATIENT, goodbye_watch_secs=0.1))
    sender.begin()
    sender.send(page([b"one"]))
    receipt = sender.confirm().receipt
    looked_after(sender, lambda: receipt.read)
    assert peer.received == [b"one"] * 3


@pytest.mark.parametrize("meet", ["tcp"], indirect=True)
def test_what_was_acknowledged_just_before_a_goodbye_over_plain_tcp_is_not_sent_again(meet):
    """There the kernel tells of what was not read, by a reset."""
    peer, sender = meet(read_then_close, tuning=replace(PATIENT, goodbye_watch_secs=0.1))
    sender.begin()
    sender.send(page([b"one"]))
    receipt = sender.confirm().receipt
    looked_after(sender, lambda: receipt.read)
    assert peer.received == [b"one"]


def read_then_close(peer, connection):
    peer.received += connection.recv(65536).split(b"\n")[:-1]
    time.sleep(0.05)
    connection.close()


def test_a_goodbye_of_ours_that_does_not_fit_yet_is_not_taken_for_the_receivers():
    """A TLS connection cannot be asked for its end before; a receiver that only hangs would count as one that read all."""

    connection = Mock(spec=TlsConnection)
    connection.shut.return_value, connection.end.return_value, connection.facts.return_value = False, EndOf.CLOSED, None
    ending = Ending(connection, [], since=0.0, by_peer=False)
    assert [ending.outcome(now, FAST) for now in (0.0, 11.0, 60.0)] == [None, None, None]
    connection.look.side_effect = ConnectionLost("the receiver closed the connection", goodbye=True)
    assert ending.outcome(61.0, FAST) is Outcome.UNREAD


def test_goodbyes_that_cross_are_no_answers():
    """The receiver's was said before it had ours; if it left something unread, a reset follows once ours gets there."""
    connection = Mock(spec=TlsConnection)
    connection.end.return_value, connection.facts.return_value = EndOf.CLOSED, None
    connection.unacknowledged_bytes.return_value = 25
    ending = Ending(connection, [], since=0.0, by_peer=False, said=True)
    assert ending.outcome(0.01, FAST) is None
    connection.end.return_value = EndOf.RESET
    assert ending.outcome(0.02, FAST) is Outcome.REFUSED
    connection.end.return_value, connection.unacknowledged_bytes.return_value = EndOf.CLOSED, 0
    assert ending.outcome(0.02, FAST) is Outcome.ANSWERED


def test_new_bundles_do_not_wait_while_a_goodbye_is_watched(meet):
    peer, sender = meet(goodbye_then_reset(1.5), read_all)
    deliver(sender, messages(12))
    time.sleep(0.3)
    began = time.monotonic()
    late = messages(12, start=12)
    deliver(sender, late)
    eventually(lambda: not peer.lost(late))
    assert time.monotonic() - began < 1.2, "it was not sent before the reset"
    looked_after(sender, lambda: not peer.lost(messages(24)))


def test_a_receipt_says_read_only_when_the_receiver_has_answered_a_goodbye(meet):
    peer, sender = meet(read_all, tuning=QUICK)
    sender.begin()
    sender.send(page([b"one"]))
    receipt = sender.confirm().receipt
    assert not receipt.read
    looked_after(sender, lambda: receipt.read)
    assert peer.received == [b"one"]


def test_a_receipt_says_nothing_while_the_receiver_hangs(meet):
    _, sender = meet(hang_then_reset(5), tuning=QUICK)
    sender.begin()
    sender.send(page([b"one"]))
    receipt = sender.confirm().receipt
    for _ in range(20):
        time.sleep(0.02)
        sender.check()
    assert not receipt.read
    sender.close(0.2)
    assert not receipt.read
    assert sender.unread() == [(None, [b"one"])]


def test_a_quiet_connection_is_ended_and_the_next_bundle_opens_another_one(meet):
    peer, sender = meet(read_all, tuning=QUICK)
    deliver(sender, messages(10))
    looked_after(sender, lambda: sender.unread() == [])
    deliver(sender, messages(10, start=10))
    looked_after(sender, lambda: sender.unread() == [])
    assert peer.received == messages(20)
    assert len(peer.connections) == 2
    assert sender.reconnects == sender.resent == 0


def test_a_connection_that_carried_much_is_ended_at_the_end_of_its_bundle():
    peer = Peer()
    sender = tcp.make(destination(peer.port), replace(PATIENT, goodbye_bytes=10_000))
    deliver(sender, messages(100))
    looked_after(sender, lambda: sender.unread() == [])
    deliver(sender, messages(10, start=100))
    eventually(lambda: len(peer.connections) == 2)  # its kernel acknowledges before it accepts
    assert peer.torn == 0


def test_an_old_connection_is_ended_before_the_next_bundle():
    peer = Peer()
    sender = tcp.make(destination(peer.port), replace(PATIENT, goodbye_age_secs=0.1))
    deliver(sender, messages(10))
    time.sleep(0.15)
    deliver(sender, messages(10, start=10))
    eventually(lambda: sorted(peer.received) == messages(20))
    eventually(lambda: len(peer.connections) == 2)


def test_a_receiver_that_answers_no_goodbye_keeps_a_connection_and_gets_everything_once(caplog):
    kept_open = []

    def never_ends(peer, connection):
        kept_open.append(connection)
        peer.read(connection)  # to the end of what we say, and says nothing itself

    peer = Peer(never_ends)
    sender = tcp.make(destination(peer.port), replace(QUICK, goodbyes_at_once=2))
    sent = []
    for number in range(6):
        bundle = messages(10, start=10 * number)
        deliver(sender, bundle)
        sent += bundle
        time.sleep(0.1)
        sender.check()
    eventually(lambda: len(peer.connections) == 3)
    sender.close(0.3)
    eventually(lambda: peer.received.__len__() == 60)
    assert peer.repeats() == 0
    assert not peer.lost(sent)


def test_what_a_receiver_that_never_ends_connections_was_sent_is_kept_and_what_follows_becomes_safe():
    """Else nothing is ever safe again, and each start repeats everything since the start before it."""
    kept_open = []

    def never_ends(peer, connection):
        kept_open.append(connection)
        peer.read(connection)

    peer = Peer(never_ends)
    sender = tcp.make(destination(peer.port), replace(QUICK, goodbyes_at_once=3, goodbye_unanswered_secs=0.3))
    kept, receipts = [], []
    for number in range(20):
        sender.begin(STREAM)
        sender.send(page([b"%d" % number]))
        receipts.append(sender.confirm().receipt)
        time.sleep(0.06)
        sender.check()
        kept += [message for _, those in sender.given_up() for message in those]
        sender.given_up_is_kept()
    assert kept[0] == b"0"
    assert receipts[len(kept) - 1].read
    assert len(peer.connections) <= 6, "goodbyes are said on and on, and each costs dead letters"
    assert peer.repeats() == 0


def test_a_receiver_that_ends_connections_itself_is_not_said_goodbye_to_again_after_it_refused():
    """A load balancer that ends idle connections in good order, and answers our end by a reset."""
    peer = Peer()
    sender = tcp.make(destination(peer.port), QUICK)
    sender._health.goodbyes_refused = QUICK.goodbyes_refused
    sender.begin()
    sender.send(page([b"one"]))
    receipt = sender.confirm().receipt
    sender._tuning = sender._unread.endings._tuning = replace(QUICK, goodbye_watch_secs=0.1)
    eventually(lambda: peer.received == [b"one"])
    peer.connections[0].shutdown(socket.SHUT_WR)
    looked_after(sender, lambda: receipt.read)
    assert sender._health.goodbyes_refused == QUICK.goodbyes_refused


def test_a_receiver_that_answers_goodbyes_by_a_reset_is_soon_said_none_to():
    def resets_at_the_end(peer, connection):
        peer.read(connection)
        reset(connection)

    peer = Peer(resets_at_the_end)
    sender = tcp.make(destination(peer.port), QUICK)
    deliver(sender, messages(10))
    for _ in range(60):
        time.sleep(0.02)
        sender.check()
    assert peer.repeats() <= 10 * QUICK.goodbyes_refused
    connections = len(peer.connections)
    for _ in range(20):
        time.sleep(0.02)
        sender.check()
    assert len(peer.connections) == connections


def test_a_day_after_its_last_refusal_a_receiver_is_said_goodbye_to_again(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: now[0])
    known = health.health_of(destination(1))
    for _ in range(3):
        known.goodbye_refused()
    assert not known.answers_goodbyes(3)
    now[0] += 86_400
    assert known.answers_goodbyes(3)
    known.goodbye_refused()
    assert not known.answers_goodbyes(3)
    known.goodbye_answered()
    assert known.answers_goodbyes(3)


def test_what_is_given_up_is_a_dead_letter_and_the_log_counts_it(tmp_path, caplog):
    def read_and_reset_later(peer, connection):
        peer.read(connection, 2 * 4)
        time.sleep(0.2)
        reset(connection)

    peer = Peer(read_and_reset_later)
    there = destination(peer.port)
    sink = SendToDestination(there)
    sink.start_bundle()
    for message in (b"one", b"two"):
        sink.process(FormattedEvent(DuoEvent(STREAM, b"{}"), message), Timestamp(0))
    sink.finish_bundle()
    (entry,) = pool._POOL.free[there]
    entry.sender._unread._read_within_secs = 0.01
    kept = []

    def keep(unread):
        keep_unread(str(tmp_path), unread)
        kept.extend(unread)

    caplog.set_level(logging.ERROR)
    eventually(lambda: pool.check(there, STREAM) is None and pool.keep_given_up(keep) is None and kept)
    letters = [letter for path in tmp_path.glob("*.avro") for letter in read_dead_letters(path)]
    assert [(letter.reason, letter.message, letter.log_type) for letter in letters] == [
        (MAYBE_UNREAD, b"one", "auth"),
        (MAYBE_UNREAD, b"two", "auth"),
    ]
    assert any("long after 2 messages had been acknowledged" in record.getMessage() for record in caplog.records)
    assert pool.close_all(0.1) == []


def test_what_is_given_up_and_cannot_be_kept_now_is_told_once_and_not_forgotten(caplog):
    peer = Peer()
    there = destination(peer.port)
    lease = pool.begin(there, STREAM)
    lease.send(page([b"one"]))
    lease.confirm()
    pool.done(there, lease)
    unread = lease.sender._unread
    unread.given_up = unread.replay.take()

    def fail(_unread):
        raise RetryLater("no space left", kind="dead_letters")

    pool.keep_given_up(fail)
    pool.keep_given_up(fail)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == ["no space left [DLS-K013]"]
    (left,) = pool.close_all(0.2)
    assert left.messages == [b"one"]


def test_a_checkpoint_that_cannot_be_written_is_told_once_by_who_looks_after_connections(monkeypatch, tmp_path, caplog):
    times = []

    def full() -> None:
        times.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(idle_checker, "_EVERY_SECS", 0.01)
    monkeypatch.setattr(idle_checker.RECEIPTS, "keep_safe", full)
    idle_checker.check_idle_connections(str(tmp_path))
    eventually(lambda: len(times) > 3)
    STOP.request(0.0)
    eventually(lambda: not idle_checker.IDLE_CHECKER.thread.is_alive())
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "No space left" in record.getMessage()
    assert record.exc_info is None
