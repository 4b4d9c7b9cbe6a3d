"""The kind ``http``: any receiver, its statuses as the user names them, and credentials of all sorts."""

import json
import threading
import time

import pytest

from tests.destinations.http.making import FAST, STREAM, http_destination, ids, page, row, rows, secret
from tests.destinations.http.standins.server import Reply, cut_after_taking, status
from tests.destinations.http.standins.tokens import CLIENT_ID, CLIENT_SECRET
from tests.destinations.http.standins.vendors import Plain, Sentinel
from transforms.destinations.http import generic
from transforms.destinations.http.generic_settings import GenericSettings, OAuth
from transforms.destinations.http.settings import SecretHeader
from transforms.errors import BadDestination, DeliveryTimeout, FatalError
from transforms.records import FormattedPage
from transforms.secrets import SecretRef


@pytest.fixture
def receiver(serve):
    return serve(Plain())


@pytest.fixture
def make(receiver, closing):
    def made(**changes):
        return closing(generic.make(http_destination("http", changes.pop("url", receiver.url), **changes), FAST))

    return made


def deliver(sender, those, stream=STREAM):
    sender.begin(stream)
    sender.send(page(those, stream))
    return sender.confirm()


class TestBodies:
    def test_lines_by_default(self, make, receiver):
        deliver(make(batch_events=2), rows(3))
        assert [asked.body.count(b"\n") for asked in receiver.asked] == [2, 1]
        assert receiver.asked[0].headers["content-type"] == "application/x-ndjson"
        assert receiver.received == rows(3)

    def test_an_array_of_json(self, make, receiver):
        sender = make(body="array")
        sender.begin()
        sender.send(FormattedPage(STREAM, [b"", b""], [b'{"a":1}', b"CEF:0|\xc3\xa9"]))
        sender.confirm()
        assert json.loads(receiver.asked[0].body) == [{"a": 1}, "CEF:0|é"]

    def test_one_message_in_one_request(self, make, receiver):
        deliver(make(body="single", content_type="application/json; v=2"), rows(3))
        assert [asked.body for asked in receiver.asked] == rows(3)
        assert receiver.asked[0].headers["content-type"] == "application/json; v=2"

    def test_without_compression(self, make, receiver):
        deliver(make(gzip=False), rows(3))
        assert "content-encoding" not in receiver.asked[0].headers


class TestAddresses:
    def test_path_and_query_are_sent_as_they_are(self, make, receiver):
        deliver(make(url=f"{receiver.url}/in/duo?source=a%20b"), rows(1))
        assert (receiver.asked[0].path, receiver.asked[0].query) == ("/in/duo", {"source": "a b"})

    def test_what_a_preset_adds_stands_before_the_query(self, receiver, closing, monkeypatch):
        changes = {"preset": "elastic", "token": secret(monkeypatch, "k")}
        sender = closing(generic.make(http_destination("http", f"{receiver.url}/in?pipeline=duo", name="e", **changes), FAST))
        receiver.troubles = [status(200, b'{"errors":false}')]
        deliver(sender, rows(1))
        assert receiver.asked[0].path == "/in/_bulk"
        assert set(receiver.asked[0].query) == {"pipeline", "filter_path"}

    def test_one_that_is_itself_the_secret_is_kept_elsewhere_and_not_shown(self, receiver, closing, monkeypatch):
        where = secret(monkeypatch, f"{receiver.url}/receiver/s3cret", "SUMO_URL")
        there = http_destination("http", receiver.url).settings
        settings = GenericSettings(secret_url=where)
        assert "s3cret" not in settings.place + repr(settings) + repr(there)
        from dataclasses import replace

        destination = replace(http_destination("http", receiver.url), settings=settings)
        deliver(closing(generic.make(destination, FAST)), rows(1))
        assert receiver.asked[0].path == "/receiver/s3cret"

    def test_a_secret_that_is_no_address_is_told_and_not_shown(self, receiver, monkeypatch):
        from dataclasses import replace

        where = secret(monkeypatch, "s3cret", "SUMO_URL")
        destination = replace(http_destination("http", receiver.url), settings=GenericSettings(secret_url=where))
        with pytest.raises(FatalError, match="env:SUMO_URL holds no address") as told:
            deliver(generic.make(destination, FAST), rows(1))
        assert "s3cret" not in str(told.value)

    def test_one_that_cannot_be_read_any_more_is_waited_for_where_it_once_worked(self, receiver, closing, tmp_path):
        from dataclasses import replace

        place = tmp_path / "url"
        place.write_text(receiver.url)
        settings = GenericSettings(secret_url=SecretRef("file", str(place)))
        sender = closing(generic.make(replace(http_destination("http", receiver.url), settings=settings), FAST))
        deliver(sender, rows(1))

        def refuse(exchange):
            place.unlink()
            exchange.reply(Reply(401))

        receiver.troubles = [refuse, lambda exchange: exchange.reply(exchange.take())]
        threading.Timer(0.5, place.write_text, (receiver.url,)).start()
        deliver(sender, rows(1, 1))
        assert ids(receiver.received) == ids(rows(2))

    def test_nor_is_it_sent_where_anybody_on_the_way_can_read_it(self, receiver, monkeypatch):
        from dataclasses import replace

        where = secret(monkeypatch, "http://siem.example.com/s3cret", "SUMO_URL")
        destination = replace(http_destination("http", receiver.url), settings=GenericSettings(secret_url=where))
        with pytest.raises(FatalError, match=r"env:SUMO_URL.*plain text.*https://") as told:
            deliver(generic.make(destination, FAST), rows(1))
        assert "s3cret" not in str(told.value)


class TestCredentials:
    def test_headers_plain_and_secret(self, make, receiver, monkeypatch):
        own = SecretHeader(name="X-Api-Key", secret=secret(monkeypatch, "k3y"))
        deliver(make(headers=("X-Tenant: duo",), secret_headers=(own,)), rows(1))
        assert receiver.asked[0].headers["x-tenant"] == "duo"
        assert receiver.asked[0].headers["x-api-key"] == "k3y"

    def test_a_bearer_token(self, make, receiver, monkeypatch):
        deliver(make(token=secret(monkeypatch, "t0ken")), rows(1))
        assert receiver.asked[0].headers["authorization"] == "Bearer t0ken"

    def test_user_and_password(self, make, receiver, monkeypatch):
        deliver(make(user="me", password=secret(monkeypatch, "pass word")), rows(1))
        assert receiver.asked[0].headers["authorization"] == "Basic bWU6cGFzcyB3b3Jk"

    def test_a_token_that_client_credentials_give_is_kept_and_fetched_anew_where_it_is_not_taken(
        self, make, receiver, serve, monkeypatch
    ):
        tokens = serve(Sentinel())
        oauth = OAuth(
            client_id=CLIENT_ID,
            client_secret=secret(monkeypatch, CLIENT_SECRET),
            token_url=f"{tokens.url}/t/oauth2/v2.0/token",
            scope="https://monitor.azure.com/.default",
        )
        sender = make(oauth=oauth, batch_events=1)
        deliver(sender, rows(3))
        receiver.troubles = [status(401)]
        deliver(sender, rows(1, 3))

        assert [asked.headers["authorization"] for asked in receiver.asked] == ["Bearer token-1"] * 4 + ["Bearer token-2"]
        assert tokens.receiver.tokens.given == 2
        assert ids(receiver.received) == ids(rows(4))

    def test_client_credentials_that_are_not_taken_are_told_and_not_shown(self, make, serve, monkeypatch):
        tokens = serve(Sentinel())
        oauth = OAuth(
            client_id=CLIENT_ID, client_secret=secret(monkeypatch, "wr0ng"), token_url=f"{tokens.url}/oauth2/v2.0/token"
        )
        sender = make(oauth=oauth)
        for attempt in (lambda: deliver(sender, rows(1)), sender.test_connection):
            with pytest.raises(BadDestination, match=r"gives no token: it answered 401 \(invalid_client\)") as told:
                attempt()
            assert "wr0ng" not in str(told.value)

    def test_a_token_is_fetched_again_later_where_nobody_gives_one_now(self, make, receiver, serve, monkeypatch):
        tokens = serve(Sentinel())
        tokens.troubles = [status(503), status(200, b"<html>"), status(200, b'{"access_token":"a\\nb"}')]
        oauth = OAuth(
            client_id=CLIENT_ID,
            client_secret=secret(monkeypatch, CLIENT_SECRET),
            token_url=f"{tokens.url}/oauth2/v2.0/token",
            scope="https://monitor.azure.com/.default",
        )
        deliver(make(oauth=oauth), rows(2))
        assert receiver.received == rows(2)

    @pytest.mark.parametrize("lives", [3599.5, None, "3600", "nan", -1])
    def test_a_token_is_one_whatever_is_said_of_its_life(self, make, receiver, serve, monkeypatch, lives):
        tokens = serve(Sentinel())
        tokens.receiver.tokens.lives_secs = lives
        oauth = OAuth(
            client_id=CLIENT_ID,
            client_secret=secret(monkeypatch, CLIENT_SECRET),
            token_url=f"{tokens.url}/t/oauth2/v2.0/token",
            scope="https://monitor.azure.com/.default",
        )
        deliver(make(oauth=oauth, delivery_timeout_secs=2.0, batch_events=1), rows(3))
        assert ids(receiver.received) == ids(rows(3))
        assert tokens.receiver.tokens.given == 1

    def test_an_answer_that_nobody_can_read_is_no_token_and_asked_for_again(self, make, receiver, serve, monkeypatch):
        tokens = serve(Sentinel())
        tokens.troubles = [status(200, b'{"more":' + b"[" * 5000 + b"]" * 5000 + b"}")]
        oauth = OAuth(
            client_id=CLIENT_ID,
            client_secret=secret(monkeypatch, CLIENT_SECRET),
            token_url=f"{tokens.url}/t/oauth2/v2.0/token",
            scope="https://monitor.azure.com/.default",
        )
        deliver(make(oauth=oauth), rows(1))
        assert ids(receiver.received) == ids(rows(1))

    def test_the_identity_of_a_machine_of_azure_s_is_asked_for_where_it_says(self, make, receiver, serve, monkeypatch):
        class Identity:
            received: list = []  # noqa: RUF012

            def answer(self, asked):
                from tests.destinations.http.standins.vendors import said

                assert asked.headers["x-identity-header"] == "h"
                return said(200, {"access_token": "of-the-machine", "expires_in": "86400"})

        identity = serve(Identity())
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "h")
        deliver(make(identity="azure"), rows(1))
        assert receiver.asked[0].headers["authorization"] == "Bearer of-the-machine"


class TestStatuses:
    @pytest.mark.parametrize("code", [200, 201, 202, 204])
    def test_usual_success(self, make, receiver, code):
        receiver.troubles = [status(code)]
        assert deliver(make(), rows(3)).rejected == ()
        assert len(receiver.asked) == 1

    @pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 599, 203, 206])
    def test_what_is_asked_again(self, make, receiver, code):
        receiver.troubles = [status(code)] * 2
        assert deliver(make(), rows(3)).rejected == ()
        assert receiver.received == rows(3)

    @pytest.mark.parametrize("code", [301, 307, 400 + 4, 405, 410, 401, 403])
    def test_what_only_a_person_can_mend(self, make, receiver, code):
        receiver.troubles = [status(code)] * 5
        with pytest.raises(BadDestination, match=str(code)):
            deliver(make(), rows(3))

    def test_what_the_user_names_goes_before(self, make, receiver):
        changes = {"delivered_statuses": (200, 302), "rejected_statuses": (404,), "retry_statuses": (400,)}
        receiver.troubles = [status(302), status(404), status(400)]
        sender = make(body="single", **changes)
        rejected = deliver(sender, rows(3)).rejected
        assert [rejection.index for rejection in rejected] == [1]
        assert receiver.received == rows(1, 2)

    @pytest.mark.parametrize("location", ["http://[::1/", "", "/", "http://\xe9.example.com/"])
    def test_a_redirect_to_no_address_is_one_all_the_same(self, make, receiver, location):
        receiver.troubles = [status(302, Location=location)] * 9
        with pytest.raises(BadDestination, match="wants to be asked elsewhere"):
            deliver(make(), rows(1))

    def test_one_bad_event_costs_one_event(self, make, receiver):
        those = rows(50)
        those[33] = row(33, note="poison")
        (rejection,) = deliver(make(), those).rejected
        assert (rejection.index, rejection.reason) == (33, "rejected")
        assert "400" in rejection.detail
        assert set(ids(receiver.received)) == set(ids(those)) - {"tx-00000033"}
        assert len(receiver.received) == 49, "nothing was repeated: a request that is refused was not taken"


def test_a_secret_that_is_not_there_is_told(make):
    with pytest.raises(FatalError, match="NOT_SET"):
        deliver(make(token=SecretRef("env", "NOT_SET")), rows(1))


class TestSlowReceivers:
    class Slow(Plain):
        """Takes its time for each event, and has taken a request at the end of that."""

        def answer(self, asked):
            time.sleep(0.02 * asked.body.count(b"\n"))
            return super().answer(asked)

    def test_a_request_that_it_never_answers_in_time_becomes_smaller_until_it_does(self, serve, closing):
        slow = serve(self.Slow())
        there = http_destination("http", slow.url, batch_events=40, request_timeout_secs=0.5)
        sender = closing(generic.make(there, FAST))
        assert deliver(sender, rows(80)).rejected == ()
        assert set(ids(slow.received)) == set(ids(rows(80)))
        assert sender.resent >= 40, "what may be there twice is counted"
        resent_before = sender.resent
        deliver(sender, rows(80, 80))
        assert set(ids(slow.received)) == set(ids(rows(160)))
        assert sender.resent == resent_before, "and it has learnt what is too much"

    def test_a_receiver_that_reads_no_more_than_so_much_of_a_request_gets_it_in_smaller_ones(self, receiver, make):
        receiver.cuts_above = 3000
        assert deliver(make(gzip=False, batch_events=100), rows(100)).rejected == ()
        assert set(ids(receiver.received)) == set(ids(rows(100)))


class TestAnEventThatBreaksTheReceiver:
    class Fragile(Plain):
        """Fails over one event, each time: it crashes, or says that it failed."""

        crashes = True

        def answer(self, asked):
            if b"tx-00000013" not in asked.body:
                return super().answer(asked)
            if self.crashes:
                raise RuntimeError("it crashes")
            return Reply(500, b"oh")

    @pytest.fixture
    def fragile(self, serve):
        return serve(self.Fragile())

    @pytest.fixture
    def sender(self, fragile, closing):
        return closing(generic.make(http_destination("http", fragile.url, delivery_timeout_secs=20.0), FAST))

    @pytest.mark.parametrize("crashes", [True, False])
    def test_it_costs_itself_once_the_others_of_its_request_were_taken(self, fragile, sender, crashes):
        fragile.receiver.crashes = crashes
        (rejection,) = deliver(sender, rows(40)).rejected

        assert (rejection.index, rejection.reason) == (13, "unanswered")
        assert "takes others, and not this event" in rejection.detail
        assert set(ids(fragile.received)) == set(ids(rows(40))) - {"tx-00000013"}
        assert fragile.repeats() == 0

    @pytest.mark.parametrize("before", [1, 7, 12])
    def test_so_it_does_where_it_is_the_last_of_them(self, fragile, sender, before):
        those = rows(before + 1, 13 - before)
        (rejection,) = deliver(sender, those).rejected

        assert (rejection.index, rejection.reason) == (before, "unanswered")
        assert set(ids(fragile.received)) == set(ids(those[:-1]))
        assert fragile.repeats() == 1, "the one that shows that it takes others"

    def test_and_where_it_comes_alone_to_a_receiver_that_took_others_before(self, fragile, sender):
        deliver(sender, rows(2))
        (rejection,) = deliver(sender, rows(1, 13)).rejected
        assert (rejection.index, rejection.reason) == (0, "unanswered")

    def test_but_not_while_it_takes_nothing_else_either(self, fragile, closing):
        sender = closing(generic.make(http_destination("http", fragile.url, delivery_timeout_secs=2.0), FAST))
        deliver(sender, rows(2))
        fragile.troubles = [status(500)] * 1000
        with pytest.raises(DeliveryTimeout):
            deliver(sender, rows(1, 20))

    def test_alone_it_is_waited_for_as_a_receiver_that_is_away_is(self, fragile, closing):
        sender = closing(generic.make(http_destination("http", fragile.url, delivery_timeout_secs=1.0), FAST))
        with pytest.raises(DeliveryTimeout):
            deliver(sender, rows(1, 13))

    def test_a_receiver_that_breaks_down_for_a_while_costs_none(self, receiver, make):
        receiver.troubles = [cut_after_taking] * 30 + [status(500)] * 30
        assert deliver(make(), rows(10)).rejected == ()
        assert set(ids(receiver.received)) == set(ids(rows(10)))
