"""Invented events look as Duo's do, and each has an id of its own that can be computed."""

import datetime as dt
import hashlib
import ipaddress
import json
import re

import pytest

from pipelines.demo.simulator import LOG_TYPES, OLD_LOG_TYPES, DuoSimulator
from pipelines.demo.simulator.ids import IdScheme
from pipelines.demo.simulator.rows import RowFactory, iso_time
from pipelines.demo.simulator.store import ID_FIELDS

DOCUMENTATION = [
    ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "0.0.0.0/32")
]
AT_MS = 1_700_000_000_123


def rows(log_type, count=500, row_bytes=1200):
    factory = RowFactory(log_type)
    return [factory.row(number, AT_MS, row_bytes) for number in range(count)]


@pytest.mark.parametrize("log_type", LOG_TYPES)
def test_ids_differ_and_lead_back_to_their_number(log_type):
    scheme, other = IdScheme(log_type, 1, 7), IdScheme(log_type, 2, 7)
    numbers = [*range(2000), 2**40, 2**48 - 2]
    ids = [scheme.make(number).decode() for number in numbers]
    assert len(set(ids)) == len(ids)
    assert [scheme.number_of(event_id) for event_id in ids] == numbers
    assert other.number_of(ids[0]) is None


def test_ids_never_meet_between_log_types_accounts_and_seeds():
    schemes = [IdScheme(t, account, seed) for t in LOG_TYPES for account in (0, 1) for seed in (0, 1)]
    ids = [scheme.make(number) for scheme in schemes for number in range(100)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("log_type", LOG_TYPES)
def test_every_row_is_one_line_of_json_with_the_id_that_was_promised(log_type):
    found = rows(log_type)
    assert not any(b"\n" in row or b"@@" in row for row in found)
    ids = [json.loads(row)[ID_FIELDS[log_type]] for row in found]
    assert ids == [IdScheme(log_type).make(number).decode() for number in range(500)]


@pytest.mark.parametrize("log_type", ["auth", "activity"])
@pytest.mark.parametrize("size", [1200, 3000])
def test_rows_are_about_as_long_as_asked_for(log_type, size):
    lengths = [len(row) for row in rows(log_type, row_bytes=size)]
    assert size * 0.93 < sum(lengths) / len(lengths) < size * 1.1


def test_the_same_number_gives_the_same_row():
    assert rows("auth", 50) == rows("auth", 50)


def test_addresses_are_of_documentation_ranges_and_mails_of_example_com():
    text = b"\n".join(row for log_type in LOG_TYPES for row in rows(log_type)).decode()
    addresses = re.findall(r'"(?:ip|address)":"([^"]+)"', text)
    assert len(addresses) > 500
    assert all(any(ipaddress.ip_address(a) in n for n in DOCUMENTATION) for a in addresses)
    assert set(re.findall(r"@([\w.]+)", text)) == {"example.com"}


def test_hard_values_occur():
    auth = [json.loads(row) for row in rows("auth")]
    assert {row["result"] for row in auth} == {"success", "denied", "fraud"}
    assert any(row["factor"] == "quantum_passkey" for row in auth), "an enum value that nobody knows"
    assert any("new_property_of_next_year" in row for row in auth)
    assert any(not row["user"]["name"].isascii() for row in auth)
    firewalls = {repr(row["access_device"]["is_firewall_enabled"]) for row in auth}
    assert {"True", "'true'", "'unknown'", "None"} <= firewalls
    activity = [json.loads(row) for row in rows("activity")]
    assert {type(row["action"]) for row in activity} == {str, dict}
    assert any(row["access_device"] is None for row in activity)
    assert json.loads(activity[0]["actor"]["details"])["status"] == "active"
    assert {json.loads(row)["type"] for row in rows("trustmonitor")} == {"auth", "bypass_status"}
    assert {json.loads(row)["txid"] is None for row in rows("telephony")} == {True, False}


def test_times_in_a_row_agree_with_the_servers_millisecond():
    row = json.loads(rows("auth", 1)[0])
    assert row["timestamp"] == AT_MS // 1000
    moment = dt.datetime.fromisoformat(row["isotimestamp"])
    assert moment.replace(microsecond=0).timestamp() * 1000 + moment.microsecond // 1000 == AT_MS
    assert json.loads(rows("trustmonitor", 1)[0])["surfaced_timestamp"] == AT_MS


def test_a_whole_second_may_lack_its_fraction():
    assert iso_time(1_700_000_000_000, 0) == b"2023-11-14T22:13:20+00:00"
    assert iso_time(1_700_000_000_007, 1) == b"2023-11-14T22:13:20.007919+00:00"


def test_half_a_million_events_cost_16_bytes_each(skey):
    duo = DuoSimulator("DIX", skey)
    duo.add_backlog("auth", 500_000, AT_MS, AT_MS + 86_400_000)
    log = duo.accounts.log("auth")
    assert log._times.itemsize + log._numbers.itemsize == 16
    assert (len(log), log._times[0], log._times[-1]) == (500_000, AT_MS, AT_MS + 86_400_000)
    duo.stop()


class TestOldLogs:
    """Rows without an id: a digest stands for it."""

    @pytest.mark.parametrize("log_type", OLD_LOG_TYPES)
    def test_invented_rows_are_of_whole_seconds_and_differ(self, log_type):
        found = rows(log_type)
        decoded = [json.loads(row) for row in found]

        assert len(set(found)) == len(found)
        assert {row["timestamp"] for row in decoded} == {AT_MS // 1000}
        assert {row.get("isotimestamp") for row in decoded} <= {None, "2023-11-14T22:13:20+00:00"}
        assert {row["action"].startswith("o2fa_") for row in decoded} == {log_type == "offline_enrollment"}

    def test_rows_of_other_accounts_and_seeds_are_others(self):
        factories = [RowFactory("admin", account, seed) for account in (0, 1) for seed in (0, 1)]

        assert len({factory.row(7, AT_MS, 0) for factory in factories}) == 4

    def test_what_stands_for_an_id_is_a_digest_of_the_row_whichever_way_it_was_added(self, skey):
        duo = DuoSimulator("DIX", skey)
        duo.add_backlog("admin", 3, AT_MS, AT_MS + 5_000)
        duo.add("admin", 2, at_ms=AT_MS)
        duo.add("admin", [{"timestamp": AT_MS // 1000, "action": "x"}] * 2)
        ids = [hashlib.sha256(row).hexdigest()[:40] for row in duo.produced_rows("admin")]
        duo.stop()

        assert duo.produced_ids("admin") == ids
        assert (len(ids), len(set(ids))) == (7, 6)

    def test_they_are_counted_only_where_they_happened(self, skey):
        duo = DuoSimulator("DIX", skey)
        duo.add("offline_enrollment", 2)
        duo.stop()

        assert duo.stats()["produced"] == dict.fromkeys(LOG_TYPES, 0) | {"offline_enrollment": 2}
