"""./run_local.sh finds a Python that will do, and names the fix where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "run_local.sh"
MAKES_NO_ENVIRONMENT = 7


@pytest.fixture
def path(tmp_path):
    """A PATH with nothing but what the script itself needs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "dirname", "cat", "cksum"):
        (found,) = [place / tool for place in map(Path, ("/bin", "/usr/bin")) if (place / tool).exists()][:1]
        (folder / tool).symlink_to(found)
    return folder


def give(path: Path, name: str, version: tuple[int, int, int], *, lacks: str = "", free_threaded: bool = False) -> None:
    """A Python that says it is of a version. Asked for an environment, it tells its name and makes none."""
    before = [
        "import sys, sysconfig, types",
        f"sys.version_info = {version}",
        f"sysconfig.get_config_var = lambda name: {int(free_threaded)}",
        f"sys.modules['{lacks}'] = None" if lacks else "",
    ]
    lines = [
        "#!/bin/sh",
        f'if [ "$1" = -m ]; then echo "made by {name}, -m venv" "${{3%{path}/venv}}"; exit {MAKES_NO_ENVIRONMENT}; fi',
        f"{{ cat <<'END'\n{chr(10).join(before)}\nEND\ncat; }} | {sys.executable} -",
    ]
    (path / name).write_text("\n".join(lines) + "\n")
    (path / name).chmod(0o755)


def run(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": str(path), "DUOLOGSYNC_VENV": str(path / "venv"), **environment}
    return subprocess.run([SCRIPT, "--version"], env=env, capture_output=True, text=True, check=False)


def test_the_newest_that_will_do_is_taken(path):
    give(path, "python3.10", (3, 10, 1))
    give(path, "python3.13", (3, 13, 1))
    give(path, "python3.14", (3, 14, 1), lacks="ensurepip")
    ran = run(path)
    assert (ran.returncode, ran.stdout) == (MAKES_NO_ENVIRONMENT, "made by python3.13, -m venv \n")


@pytest.mark.parametrize("minor", range(10, 15))
def test_each_from_3_10_to_3_14_will_do(path, minor):
    give(path, "python3", (3, minor, 0))
    assert run(path).stdout == "made by python3, -m venv \n"


def test_one_that_is_named_is_taken_before_newer_ones(path):
    give(path, "python3.14", (3, 14, 0))
    give(path, "other", (3, 11, 0))
    assert run(path, PYTHON="other").stdout == "made by other, -m venv \n"


UNFIT = {
    "too old": ({"version": (3, 9, 2)}, "is Python 3.9.2"),
    "too new": ({"version": (3, 15, 0)}, "is Python 3.15.0"),
    "no venv": ({"version": (3, 13, 5), "lacks": "ensurepip"}, "is Python 3.13.5 without venv"),
    "free-threaded": ({"version": (3, 14, 0), "free_threaded": True}, "free-threaded"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_one_that_will_not_do_is_named_with_the_reason_and_the_fix(path, case):
    options, words = UNFIT[case]
    give(path, "python3", **options)
    ran = run(path)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "apt install python3-venv" in ran.stderr
    assert not (path / "venv").exists()


def test_where_there_is_none_the_fix_is_named(path):
    ran = run(path)
    assert ran.returncode == 2
    assert "needs Python 3.10 to 3.14" in ran.stderr
    assert "apt install python3-venv" in ran.stderr


def test_an_environment_whose_python_is_gone_is_made_anew(path):
    give(path, "python3", (3, 13, 0))
    (path / "venv" / "bin").mkdir(parents=True)
    (path / "venv" / "pyvenv.cfg").touch()
    (path / "venv" / "bin" / "python").symlink_to("/usr/bin/python3.8-that-is-gone")
    assert run(path).stdout == "made by python3, -m venv --clear\n"


def test_one_that_is_named_and_does_not_start_is_told(path):
    (path / "broken").write_text("#!/bin/sh\nexit 1\n")
    (path / "broken").chmod(0o755)
    give(path, "python3", (3, 12, 0))
    ran = run(path, PYTHON="broken")
    assert ran.returncode == 2
    assert "broken does not start" in ran.stderr
