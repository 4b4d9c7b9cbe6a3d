"""An environment with the extra [gcp], made once per machine and state of the dependencies."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words: object) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


@pytest.fixture(scope="session")
def gcp_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has what ``pip install duologsync-beam[gcp]`` brings: about a minute, and 0.8 GB in the cache."""
    # The pins of the extra are for the image's Python; another one gets those that all have.
    constraints = ROOT / ("constraints-gcp.txt" if sys.version_info[:2] == (3, 11) else "constraints.txt")
    state = b"".join(path.read_bytes() for path in (ROOT / "setup.py", constraints)) + sys.version.encode()
    cache = Path(os.environ.get("DUOLOGSYNC_CACHE") or Path.home() / ".cache" / "duologsync")
    home = cache / f"gcp-{hashlib.sha256(state).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "gcp.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            _make(home, constraints, tmp_path_factory.mktemp("gcp"))
            (home / "complete").touch()
    return home / "bin" / "python"


def _make(home: Path, constraints: Path, folder: Path) -> None:
    ignored = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist")
    shutil.copytree(ROOT, folder / "source", ignore=ignored)
    venv.create(home, with_pip=True)
    pip = home / "bin" / "pip"
    run(pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, folder / "source")
    (wheel,) = folder.glob("*.whl")
    run(pip, "install", "--quiet", "--constraint", constraints, f"{wheel}[gcp]")
    run(pip, "check")
    # Tests take the program from the repository, as it is now.
    run(pip, "uninstall", "--quiet", "--yes", "duologsync-beam")
