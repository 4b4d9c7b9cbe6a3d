"""A program that is asked to end reads nothing more, however much there is."""

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from pipelines.local.supervisor import run_local
from tests.conftest import now_ms
from transforms.destinations.stream.settings import TcpSettings
from transforms.formats.json_lines import JsonOptions
from transforms.process.shutdown import STOP
from transforms.settings import Destination, Format, Job, Reading, Route, Storage


def test_a_backlog_of_many_pages_is_left_for_the_next_launch(simulator, account, tmp_path, eventually):
    simulator.add_backlog("auth", 50_000, now_ms() - 3_600_000, now_ms() - 1_000)
    with SiemReceiver(on_messages=lambda _: STOP.request(5.0)) as siem:
        job = Job(
            accounts=(account,),
            destinations=(Destination("siem", TcpSettings("127.0.0.1", siem.port), Format(JsonOptions())),),
            routes=(Route(("auth",), ("siem",)),),
            storage=Storage(str(tmp_path / "checkpoints"), str(tmp_path / "dead")),
            # The whole backlog would take longer than the grace period, and far longer than the pages at hand.
            reading=Reading(start_days=1, poll_interval_secs=1, lag_secs=0, page_pause_secs=0.2),
        )
        code = run_local(job, grace_secs=5.0)
        left = 50_000 - siem.total()

    assert code == exit_codes.OK
    assert left > 30_000
