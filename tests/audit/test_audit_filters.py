"""Audits where routes filter and redact, which needs what reads filters."""

from pipelines import exit_codes
from tests.audit.conftest import outcome
from tests.audit.test_audit_files import lines_of


def test_what_is_filtered_on_purpose_is_no_gap_and_what_is_redacted_is_found(world, audited, tmp_path):
    file = tmp_path / "duo" / "auth.log"
    world.write(
        f"{{name: siem, kind: file, path: '{file}', format: json}}",
        routes="routes:\n  - {log_types: [auth], destinations: [siem], where: \"event.result == 'success'\", "
        "redact: {drop: [user.name, email]}}\n",
    )
    world.happen("auth", 60)
    world.deliver(lambda: bool(lines_of(file)))
    there = len(lines_of(file))

    code, (certificate,) = audited()
    found = outcome(certificate)
    assert (code, found["verdict"], found["stored"], found["filtered"]) == (exit_codes.OK, "stored", there, 60 - there)
    assert (found["duo"], found["read"], found["read_filtered"]) == (60, 60, 60 - there)
    assert 0 < there < 60
