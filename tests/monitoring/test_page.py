"""The status page in a real browser: of the running program, and of reports as they can be."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe

from pipelines.demo.receiver import SiemReceiver
from pipelines.monitoring import server
from pipelines.monitoring.exchange import Answer
from pipelines.monitoring.place import place_in
from pipelines.monitoring.routes import routes
from pipelines.monitoring.server import Route
from tests.conftest import IKEY, now_ms
from tests.monitoring import reports, screenshots
from tests.monitoring.browser import browser, opened
from tests.ports import free_port
from transforms.secrets import SecretRef
from transforms.settings import Monitoring

pytestmark = pytest.mark.servers
ROOT = Path(__file__).parents[2]
WITHIN_MS = 60_000


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture
def shown(chromium, tmp_path):
    """Opens the page of a server that gives a report; the report can be changed."""
    servers = []

    def show(report, token=None, **options):
        table = dict(routes(None, ""))
        present = [report]
        table["/status.json"] = Route(lambda _: Answer(200, "application/json", msgspec.json.encode(present[0])))
        made = server.start(Monitoring(port=free_port(), token=token), table, str(tmp_path))
        servers.append(made)
        page, seen = opened(chromium, made.url, **options)
        page.set_default_timeout(WITHIN_MS)
        return page, seen, lambda fresh: present.__setitem__(0, fresh)

    yield show
    for made in servers:
        made.close()


def headline(page) -> str:
    return page.inner_text("#headline")


def until(page, selector, text):
    """Waits until an element says so."""
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector).textContent.includes(text)", arg=[selector, text],
        timeout=WITHIN_MS,
    )  # fmt: skip


class TestOfTheRunningProgram:
    @pytest.fixture
    def siem(self):
        with SiemReceiver() as siem:
            yield siem

    @pytest.fixture
    def program(self, simulator, authority, skey, siem, tmp_path):
        """``duologsync run`` in a process of its own, as users run it."""
        (tmp_path / "skey").write_text(skey)
        config = tmp_path / "config.yml"
        config.write_text(
            f"""version: 2
accounts:
  - {{api_host: localhost, port: {simulator.port}, ca_file: {authority.ca_file}, ikey: {IKEY}, skey: "file:{tmp_path}/skey"}}
reading: {{start_days: 1, poll_interval_secs: 1, lag_secs: 0}}
destinations: [{{name: siem, kind: tcp, host: 127.0.0.1, port: {siem.port}, format: json}}]
storage: {{checkpoint_dir: {tmp_path}/checkpoints, dead_letter_dir: {tmp_path}/dead}}
monitoring: {{port: {free_port()}}}
"""
        )
        command = [sys.executable, "-m", "pipelines", "run", str(config)]
        with (tmp_path / "program.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        yield process
        process.kill()
        process.wait()

    @pytest.fixture
    def url(self, program, tmp_path, eventually):
        eventually(lambda: place_in(str(tmp_path / "checkpoints")) is not None, within_secs=60)
        return place_in(str(tmp_path / "checkpoints")).url

    def test_it_tells_of_a_siem_that_goes_away_and_comes_back_and_of_the_programs_end(
        self, url, program, chromium, simulator, siem
    ):
        page, seen = opened(chromium, url)
        until(page, "#headline", "All caught up")
        assert page.get_attribute("#verdict", "data-tone") == "good"

        simulator.add("auth", 30, at_ms=now_ms() - 1_000)
        until(page, "#sums", "30 events delivered")

        siem.refuse()
        siem.reset_connections()
        simulator.add("auth", 10, at_ms=now_ms() - 1_000)
        until(page, "#headline", "waiting for siem")
        assert page.get_attribute("#verdict", "data-tone") == "warn"
        until(page, "#destinations", "not usable")
        until(page, "#log", "is away")

        siem.reopen()
        until(page, "#headline", "All caught up")
        until(page, "#sums", "40 events delivered")
        assert (seen.errors, seen.dialogs) == ([], [])
        assert {request for request in seen.requests if not request.startswith((url, "data:"))} == set()

        program.send_signal(signal.SIGTERM)
        until(page, "#headline", "The program does not answer")
        until(page, "#freshness", "what follows is from then")
        assert page.get_attribute("#verdict", "data-tone") == "bad"
        assert page.locator("#rows tr").count() == 4  # what was known stays to be read

    def test_a_key_that_is_revoked_is_the_first_thing_that_is_seen_with_what_to_do(self, url, chromium, simulator):
        simulator.faults.add("status", "telephony", status=403, times=None)
        page, _ = opened(chromium, url)
        until(page, "#headline", "1 of 4 streams needs you")
        assert "main/telephony" in page.inner_text("#detail")
        assert page.inner_text("#todo")
        assert "telephony" in page.locator("#rows tr").first.inner_text()


class TestEverybodyCanUseIt:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [320, 1280])
    def test_by_the_rules_for_accessible_pages(self, shown, scheme, width):
        page, _, _ = shown(reports.troubled(), color_scheme=scheme, width=width)
        for details in page.locator("details").all():
            details.evaluate("each => each.open = true")
        rules = {
            "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
        }
        # The page's policy keeps scripts out that are put into the document; axe is run beside it.
        found = Axe().run(page, options=rules).response["violations"]
        assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found] == []

    def test_it_follows_the_systems_choice_of_dark_and_light(self, shown):
        def ground(scheme):
            page, _, _ = shown(reports.well(), color_scheme=scheme)
            return page.evaluate("getComputedStyle(document.body).backgroundColor")

        def brightness(color):
            return sum(map(int, color[4:-1].split(",")))

        assert brightness(ground("dark")) < 200 < 600 < brightness(ground("light"))

    @pytest.mark.parametrize("width", [320, 360, 768, 1024])
    def test_nothing_has_to_be_moved_sideways_on_a_narrow_screen(self, shown, width):
        page, _, _ = shown(reports.troubled(), width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for selector in ("#headline", "#rows tr", "#destinations li", "#letters", "#process"):
            box = page.locator(selector).first.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width, selector
        if width <= 768:  # each stream is a card, and its words have the whole of it
            assert page.locator("td.of-state").first.bounding_box()["width"] > 0.8 * width

    def test_the_keyboard_reaches_everything(self, shown):
        page, _, _ = shown(reports.troubled())

        def focused():
            return page.evaluate("(document.activeElement.id || document.activeElement.textContent).trim()")

        page.keyboard.press("Tab")
        assert focused() == "To the streams"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.name") == "which"
        page.keyboard.press("ArrowUp")  # from the first choice to the last one
        assert page.locator("#rows tr").count() == 1
        page.keyboard.press("ArrowDown")
        assert page.locator("#rows tr").count() == 5
        page.keyboard.press("Tab")
        page.keyboard.type("trustmon")
        assert page.locator("#rows tr").count() == 1
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.press("Delete")
        page.keyboard.press("Tab")
        assert focused() == "Stream"
        page.keyboard.press("Enter")
        assert page.get_attribute("th[data-order=name]", "aria-sort") == "ascending"
        assert page.locator("#rows tr").nth(1).inner_text().startswith("auth → archive")  # the title before it begins with <

    def test_the_place_of_the_focus_is_seen(self, shown):
        page, _, _ = shown(reports.well())
        for _ in range(8):
            page.keyboard.press("Tab")
            width = page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
            assert width >= 2, page.evaluate("document.activeElement.outerHTML")

    def test_what_is_open_and_has_the_focus_stays_so_when_an_answer_comes(self, shown):
        page, _, change = shown(reports.well())
        summary = page.locator("#rows tr").nth(2).locator("summary")
        summary.focus()
        page.keyboard.press("Enter")
        change(reports.report(*(reports.stream(log_type=each, delivered=77_777) for each in reports.LOG_TYPES)))
        until(page, "#rows", "77,777")
        assert page.evaluate("document.activeElement.parentElement.open")

    def test_only_the_verdict_is_said_aloud_and_only_when_the_state_changes(self, shown):
        page, _, change = shown(reports.well())
        assert page.locator("[aria-live], [role=status], [role=alert]").count() == 1
        said = page.locator("#said")
        assert said.inner_text() == "all caught up"
        page.evaluate("window.changes = 0; new MutationObserver(() => window.changes++).observe(said, {childList: true})")
        change(reports.report(*(reports.stream(log_type=each, delivered=1) for each in reports.LOG_TYPES)))
        until(page, "#sums", "4 events delivered")
        assert page.evaluate("window.changes") == 0
        change(reports.troubled())
        until(page, "#said", "needs you")

    def test_nothing_moves_for_who_wants_it_so(self, shown):
        page, _, _ = shown(reports.well(), reduced_motion="reduce")
        assert page.evaluate("getComputedStyle(verdict).transitionDuration") == "0s"


class TestNothingGetsIn:
    def test_names_that_somebody_has_chosen_are_texts(self, shown):
        page, seen, _ = shown(reports.troubled())
        assert (seen.dialogs, seen.errors) == ([], [])
        assert page.locator("main img, main script").count() == 0
        text = page.inner_text("#rows")
        assert "<img src=x onerror=alert(1)>\\u202e\\u001b[2J</script><script>alert(2)</script>" in text
        assert "\u202e" not in page.inner_text("body")

    def test_a_script_that_got_in_would_not_run(self, shown):
        page, seen, _ = shown(reports.well())
        page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);"
            " document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 2\">'); }"
        )
        page.wait_for_timeout(300)
        assert page.evaluate("window.ran") is None
        assert any("Content Security Policy" in error for error in seen.errors)

    def test_no_other_page_can_read_the_report_or_frame_the_page(self, shown, chromium):
        ours, _, _ = shown(reports.well())
        url = ours.url
        page = chromium.new_context().new_page()
        page.goto("data:text/html,<p>elsewhere</p>")
        assert page.evaluate("url => fetch(url).then(() => 'read', () => 'refused')", f"{url}status.json") == "refused"

    def test_a_browser_gets_in_by_the_token_as_its_password(self, shown, tmp_path):
        (tmp_path / "token").write_text("open sesame")
        credentials = {"username": "", "password": "open sesame"}
        token = SecretRef("file", str(tmp_path / "token"))
        page, _, _ = shown(reports.well(), token=token, http_credentials=credentials)
        assert headline(page) == "All caught up"


class TestManyStreams:
    def test_of_three_thousand_the_few_that_need_a_person_are_found_at_once(self, shown):
        page, _, _ = shown(reports.of_an_msp(1_000))
        assert headline(page) == "2 of 3,000 streams need you"
        assert page.locator("#rows tr").count() == 50
        assert "Customer 999" in page.locator("#rows tr").nth(1).inner_text()  # the worst come first
        page.get_by_label("Only what needs me").check()
        assert page.locator("#rows tr").count() == 2
        assert page.locator("#pager").is_hidden()

    def test_the_others_are_leafed_through_and_found_by_name(self, shown):
        page, _, _ = shown(reports.of_an_msp(1_000))
        assert "page 1 of 60, 3,000 streams" in page.inner_text("#pager")
        assert page.locator("#before").is_disabled()
        page.locator("#next").click()
        assert "page 2 of 60" in page.inner_text("#pager")
        page.get_by_label("Find").fill("customer 421")
        assert page.locator("#rows tr").count() == 3
        page.get_by_label("Find").fill("nobody of that name")
        assert page.locator("#none").is_visible()

    def test_an_answer_does_not_undo_what_was_chosen(self, shown):
        page, _, change = shown(reports.of_an_msp(1_000))
        page.get_by_label("Find").fill("customer 421")
        fresh = json.loads(msgspec.json.encode(reports.of_an_msp(1_000)))
        for each in fresh["streams"]:
            each["delivered"] = 5
        change(fresh)
        until(page, "#sums", "15,000 events delivered")
        assert page.locator("#rows tr").count() == 3


class TestTheProgramDoesNotAnswer:
    def test_an_answer_that_is_none_is_told_and_what_was_known_stays(self, shown):
        page, _, change = shown(reports.well())
        change({"v": 1})
        until(page, "#headline", "The program does not answer")
        until(page, "#detail", "what it says is no report")
        assert page.locator("#rows tr").count() == 4
        change(reports.well())
        until(page, "#headline", "All caught up")

    def test_how_long_ago_it_answered_goes_on_being_told(self, shown):
        page, _, change = shown(reports.well())
        change({"v": 1})
        until(page, "#freshness", "what follows is from then")
        before = page.inner_text("#freshness")
        deadline = time.monotonic() + 20
        while page.inner_text("#freshness") == before:
            assert time.monotonic() < deadline
            page.wait_for_timeout(100)


def test_the_pictures_in_the_readme_can_be_made_again_and_are_small(chromium, tmp_path):
    made = screenshots.take(chromium, reports.for_the_readme(), tmp_path)
    for path in (*made, *(screenshots.FOLDER / path.name for path in made)):
        assert 20_000 < path.stat().st_size < screenshots.MOST_BYTES
