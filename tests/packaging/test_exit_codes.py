"""docs/exit-codes.md is what the program ends with."""

import re
from pathlib import Path

from pipelines import exit_codes

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_current():
    again = "python -m pipelines.exit_codes > docs/exit-codes.md"
    assert (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8") == exit_codes.document(), again


def test_every_code_has_its_meaning_and_a_number_of_its_own():
    codes = [value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)]
    assert codes == list(exit_codes.MEANINGS) == list(range(len(codes)))


def test_the_unit_is_not_started_again_after_the_codes_that_the_readme_names():
    unit = (ROOT / "pipelines" / "launch_files" / "duologsync.service").read_text(encoding="utf-8")
    prevented = re.search(r"^RestartPreventExitStatus=(.+)$", unit, re.MULTILINE)[1].split()
    assert prevented == [str(exit_codes.CONFIG), str(exit_codes.CREDENTIALS)]
