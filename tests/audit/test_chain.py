"""The chain of certificates: whatever is changed, removed, reordered or inserted afterwards is found."""

import json
import os
import re
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from pipelines.audit.certificate import Certificate, Outcome, Verdict, canonical, digest_of, sealed
from pipelines.audit.chain import Chain, ChainBroken, ChainInUse

OUTCOME = Outcome(account="main", log_type="auth", destination="siem", verdict=Verdict.STORED, duo=3, expected=3, stored=3)


def certificate(day: str, *outcomes: Outcome) -> Certificate:
    return Certificate(
        number=0, previous="", day=day, revision=0, from_ms=0, until_ms=1, made_ms=2, program="1", config_sha256="c",
        streams=outcomes or (OUTCOME,),
    )  # fmt: skip


@pytest.fixture
def chain(tmp_path):
    """Of three days, of which the second was audited again."""
    chain = Chain(tmp_path)
    for day in ("2026-11-25", "2026-11-26", "2026-11-27", "2026-11-26"):
        chain.add(certificate(day))
    return chain


def path_of(chain, day="2026-11-26"):
    return chain.directory / f"{day}.json"


def change(chain, alter, day="2026-11-26"):
    """As somebody does who knows the format: the file is canonical again."""
    content = json.loads(path_of(chain, day).read_bytes())
    alter(content)
    path_of(chain, day).write_bytes(canonical(content))


def test_a_chain_that_nobody_touched_is_whole(chain):
    assert chain.verify() == []
    assert chain.verify(chain.head().sha256) == []


def test_a_day_that_is_audited_again_gets_a_revision_and_keeps_the_one_before(chain):
    first, second = chain.of_day("2026-11-26")
    assert (first.number, first.revision, second.number, second.revision) == (2, 1, 4, 2)
    assert second.previous == chain.of_day("2026-11-27")[0].sha256


def test_the_files_are_for_their_owner_alone(chain):
    assert stat.S_IMODE(chain.directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in chain.directory.glob("*.json")} == {0o600}


def test_a_number_that_was_changed_is_found(chain):
    change(chain, lambda day: day["revisions"][0]["streams"][0].update(stored=2))
    assert any("Certificate 2 (2026-11-26, revision 1) was changed" in each for each in chain.verify())


def test_one_that_was_changed_together_with_its_digest_is_found_by_the_next(chain):
    day = chain.of_day("2026-11-25")
    forged = sealed(msgspec.structs.replace(day[0], made_ms=9))
    path_of(chain, "2026-11-25").write_bytes(canonical({"day": "2026-11-25", "revisions": [forged]}))
    assert chain.verify() == ["Certificate 2 (2026-11-26) does not follow the one before it: one of them was changed."]


def test_a_blank_more_is_a_change(chain):
    path_of(chain).write_bytes(path_of(chain).read_bytes() + b" ")
    assert any("2026-11-26.json was changed" in each for each in chain.verify())


def test_a_day_that_was_removed_is_found(chain):
    path_of(chain, "2026-11-25").unlink()
    assert "Certificate 1 is missing: it was removed." in chain.verify()


def test_a_revision_that_was_removed_is_found(chain):
    change(chain, lambda day: day["revisions"].pop(0))
    wrong = chain.verify()
    assert "Certificate 2 is missing: it was removed." in wrong
    assert any("a revision was removed, inserted or reordered" in each for each in wrong)


def test_revisions_that_were_reordered_are_found(chain):
    change(chain, lambda day: day["revisions"].reverse())
    assert any("reordered" in each for each in chain.verify())


def test_two_days_that_were_exchanged_are_found(chain):
    one, other = path_of(chain, "2026-11-25"), path_of(chain, "2026-11-27")
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    assert sum("it was renamed" in each for each in chain.verify()) == 2


def test_a_certificate_that_was_inserted_is_found(chain):
    forged = sealed(msgspec.structs.replace(certificate("2026-11-20"), number=3, revision=1))
    path_of(chain, "2026-11-20").write_bytes(canonical({"day": "2026-11-20", "revisions": [forged]}))
    assert any("two certificates with the number 3" in each for each in chain.verify())


def test_the_last_one_cannot_be_removed_without_the_head_showing_it(chain):
    change(chain, lambda day: day["revisions"].pop())
    assert chain.verify() == ["Certificate 4, which head.json names, is missing or was changed."]


def test_only_a_head_that_is_kept_elsewhere_shows_that_the_end_was_cut_off_with_the_head(chain):
    kept = chain.head().sha256
    change(chain, lambda day: day["revisions"].pop())
    third = chain.of_day("2026-11-27")[0]
    (chain.directory / "head.json").write_bytes(canonical({"number": 3, "sha256": third.sha256}))

    assert chain.verify() == []
    assert any("the chain was made anew, or its end was cut off" in each for each in chain.verify(kept))


def test_an_older_head_that_was_kept_is_still_in_the_chain(chain):
    kept = chain.head().sha256
    chain.add(certificate("2026-11-28"))
    assert chain.verify(kept.upper()) == []


def test_a_crash_between_day_and_head_is_no_change_and_the_chain_goes_on(chain):
    head = (chain.directory / "head.json").read_bytes()
    chain.add(certificate("2026-11-28"))
    (chain.directory / "head.json").write_bytes(head)

    assert chain.verify() == []
    assert chain.add(certificate("2026-11-29")).number == 6
    assert chain.verify() == []


def test_nothing_is_added_to_a_chain_that_cannot_be_read(chain):
    path_of(chain).write_bytes(b"{}")
    with pytest.raises(ChainBroken, match="it was changed"):
        chain.add(certificate("2026-11-28"))


def test_a_certificate_of_a_later_release_with_more_fields_keeps_its_digest_and_its_fields(chain):
    change(chain, lambda day: day["revisions"][-1].update(verdict_of_the_year_2030="fine"))
    day = json.loads(path_of(chain).read_bytes())
    last = day["revisions"][-1]
    last["sha256"] = digest_of(last)
    path_of(chain).write_bytes(canonical(day))
    (chain.directory / "head.json").write_bytes(canonical({"number": last["number"], "sha256": last["sha256"]}))
    assert chain.verify() == []

    chain.add(certificate("2026-11-26"))
    assert chain.verify() == []
    assert b"verdict_of_the_year_2030" in path_of(chain).read_bytes()


def test_a_link_in_the_place_of_a_day_is_not_followed(chain, tmp_path):
    (tmp_path / "elsewhere").write_bytes(path_of(chain).read_bytes())
    path_of(chain).unlink()
    path_of(chain).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        chain.verify()


def test_two_audits_do_not_add_at_the_same_time(chain):
    chain.lock()
    code = f"from pipelines.audit.chain import Chain; Chain({str(chain.directory.parent)!r}).lock()"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=dict(os.environ))
    assert ChainInUse.__name__ in other.stderr
    chain.unlock()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"


def test_the_lines_of_python_that_auditors_are_given_verify_a_chain(chain):
    odd = msgspec.structs.replace(OUTCOME, account='o"d\\d\x01\u2028 zoë 社', why="\t/", dead={"z": 1, "a": 2})
    chain.add(certificate("2026-11-28", odd))
    lines = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[1]
    run = [sys.executable, "-c", textwrap.dedent(lines)]
    done = subprocess.run(run, cwd=chain.directory, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["5", "certificates;", "head", chain.head().sha256], done.stderr

    change(chain, lambda day: day["revisions"][0].update(made_ms=7))
    assert subprocess.run(run, cwd=chain.directory, capture_output=True, check=False).returncode == 1
