"""What the tests with real runners share: the runners themselves, from the cache, and a program that dies with its children."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def from_cache(script: str) -> str:
    """The path that a script prints, which builds or copies what it names where the cache lacks it."""
    done = subprocess.run([HERE / script], stdout=subprocess.PIPE, check=False, text=True)
    assert done.returncode == 0, f"{script} failed; its message is above"
    return done.stdout.strip()


@pytest.fixture(scope="session")
def prism() -> list[str]:
    """Beam's flags for a run on Prism."""
    return ["--runner=PrismRunner", f"--prism_location={from_cache('get_prism.sh')}"]
