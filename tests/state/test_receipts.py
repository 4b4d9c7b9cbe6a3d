"""Which position is safe: everything before it was read, or is kept elsewhere."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.destinations.health import Health
from transforms.destinations.stream.replay_buffer import Block
from transforms.destinations.stream.settings import TcpSettings
from transforms.destinations.stream.tuning import Tuning
from transforms.destinations.stream.unread import BlockReceipt, Unread
from transforms.formats.json_lines import JsonOptions
from transforms.records import Stream, Subscription
from transforms.settings import Destination, Format
from transforms.state.cursor import Cursor
from transforms.state.receipts import Receipts

AUTH = Subscription(Stream("main", "auth"), "siem")


@dataclass
class Receipt:
    read: bool = False

    def covers(self, _earlier) -> bool:
        return False


def at(seq: int) -> Cursor:
    return Cursor(seq, seq=seq)


def ignore(_cursor: Cursor) -> None:
    pass


@pytest.fixture
def receipts():
    receipts = Receipts()
    receipts.begin(AUTH, at(0))
    return receipts


def test_who_delivered_nothing_yet_is_safe_where_it_began(receipts):
    receipts.confirmed(AUTH, Receipt())
    assert receipts.delivered(AUTH, at(1), ignore) == at(0)


def test_what_was_sent_under_another_streams_name_holds_up_all_that_was_read(receipts):
    """A step of somebody's own may rename accounts: whose events they were is not known then."""
    unread = Receipt()
    receipts.confirmed(Subscription(Stream("renamed", "auth"), "siem"), unread)
    assert receipts.delivered(AUTH, at(1), ignore) == at(0)
    unread.read = True
    assert receipts.delivered(AUTH, at(1), ignore) == at(1)


def test_what_one_destination_has_not_read_is_no_matter_of_another(receipts):
    other = Subscription(AUTH.stream, "other")
    receipts.begin(other, at(0))
    unread, read = Receipt(), Receipt(read=True)
    receipts.confirmed(AUTH, unread)
    receipts.confirmed(other, read)
    assert receipts.delivered(other, at(1), ignore) == at(1)
    assert receipts.delivered(AUTH, at(1), ignore) == at(0)
    unread.read = True
    assert receipts.delivered(AUTH, at(1), ignore) == at(1)


def test_a_sink_that_calls_the_destination_by_another_name_than_the_reader_makes_nothing_safe_too_early(receipts):
    """Names are the user's in a pipeline of her own; a wrong one may repeat events and must not lose one."""
    unread = Receipt()
    receipts.confirmed(Subscription(AUTH.stream, "splunk"), unread)
    assert receipts.delivered(AUTH, at(1), ignore) == at(0)
    unread.read = True
    assert receipts.delivered(AUTH, at(1), ignore) == at(1)


def test_what_was_read_behind_something_unread_is_not_safe(receipts):
    first, second = Receipt(), Receipt(read=True)
    receipts.confirmed(AUTH, first)
    receipts.delivered(AUTH, at(1), ignore)
    receipts.confirmed(AUTH, second)
    assert receipts.delivered(AUTH, at(2), ignore) == at(0)
    first.read = True
    assert receipts.delivered(AUTH, at(2), ignore) == at(2)


def test_windows_without_events_are_safe_once_what_is_before_them_is(receipts):
    receipt = Receipt()
    receipts.confirmed(AUTH, receipt)
    receipts.delivered(AUTH, at(1), ignore)
    assert receipts.delivered(AUTH, at(2), ignore) == at(0)
    receipt.read = True
    assert receipts.delivered(AUTH, at(3), ignore) == at(3)


def test_bundles_that_are_confirmed_again_and_again_and_never_finalized_do_not_pile_up(receipts):
    """The runner gives each of them up, say, or finalizes late."""
    unread = Unread(Tuning(), Health(Destination("siem", TcpSettings("127.0.0.1", 1), Format(JsonOptions()))))
    for number in range(1, 1200):
        unread.confirmed([Block(b"one\n", 1, number)], 0.0)
        receipts.confirmed(AUTH, BlockReceipt(unread, number))
    assert receipts.delivered(AUTH, at(1), ignore) == at(0)
    unread.replay.take()
    unread.count()
    assert receipts.delivered(AUTH, at(2), ignore) == at(2)


@pytest.mark.parametrize("count", [2, 1200])
def test_senders_that_change_with_every_bundle_all_count(receipts, count):
    given = [Receipt() for _ in range(count)]
    for receipt in given:
        receipts.confirmed(AUTH, receipt)
    assert receipts.delivered(AUTH, at(1), ignore) == at(0)
    for receipt in given:
        receipt.read = True
    assert receipts.delivered(AUTH, at(2), ignore) == at(2)


def test_two_bundles_of_one_destination_before_a_cursor_both_count(receipts):
    """Their runner finalized them together; streams change their sender from bundle to bundle."""
    earlier, later = Receipt(), Receipt()
    receipts.confirmed(AUTH, earlier)
    receipts.confirmed(AUTH, later)
    receipts.delivered(AUTH, at(1), ignore)
    later.read = True
    assert receipts.delivered(AUTH, at(1), ignore) == at(0)
    earlier.read = True
    assert receipts.delivered(AUTH, at(1), ignore) == at(1)


def test_a_finalizer_that_comes_late_takes_nothing_back(receipts):
    one, other = Receipt(), Receipt()
    receipts.confirmed(AUTH, one)
    receipts.delivered(AUTH, at(2), ignore)
    receipts.confirmed(AUTH, other)
    receipts.delivered(AUTH, at(1), ignore)
    one.read = True
    assert receipts.delivered(AUTH, at(2), ignore) == at(0)
    other.read = True
    assert receipts.delivered(AUTH, at(2), ignore) == at(2)


def test_what_becomes_safe_later_is_kept(receipts):
    receipt, kept = Receipt(), []
    receipts.confirmed(AUTH, receipt)
    receipts.delivered(AUTH, at(1), kept.append)
    receipts.keep_safe()
    assert kept == []
    receipt.read = True
    receipts.keep_safe()
    receipts.keep_safe()
    assert kept == [at(1)]


def test_what_could_not_be_kept_is_kept_the_next_time(receipts):
    receipt, kept = Receipt(), []

    def fail(_cursor):
        raise OSError("no space left")

    receipts.confirmed(AUTH, receipt)
    receipts.delivered(AUTH, at(1), fail)
    receipt.read = True
    with pytest.raises(OSError, match="no space"):
        receipts.keep_safe()
    receipts.delivered(AUTH, at(1), kept.append)
    receipts.keep_safe()
    assert kept == [at(1)]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=1200))
def test_the_safe_position_is_never_ahead_of_what_was_read(steps):
    receipts, given_out = Receipts(), []
    receipts.begin(AUTH, at(0))
    for seq, (deliver, reads) in enumerate(steps, 1):
        if deliver:
            receipt = Receipt()
            given_out.append((seq, receipt))
            receipts.confirmed(AUTH, receipt)
        for _, receipt in [pair for pair in given_out if not pair[1].read][:reads]:
            receipt.read = True
        safe = receipts.delivered(AUTH, at(seq), ignore)
        first_unread = min((at for at, receipt in given_out if not receipt.read), default=seq + 1)
        assert safe.seq < first_unread
        assert len(receipts._accounts[AUTH.identity].waiting) <= 257
    for _, receipt in given_out:
        receipt.read = True
    if steps:
        assert receipts.delivered(AUTH, at(len(steps)), ignore) == at(len(steps))
