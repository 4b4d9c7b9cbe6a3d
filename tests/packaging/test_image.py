"""The container image's recipe. No engine runs where the tests do: it is linted, and its parts are tried one by one."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "pipelines" / "launch_files" / "docker"
DOCKERFILE = FOLDER / "Dockerfile"
RECIPE = DOCKERFILE.read_text()


def lint(path: Path) -> str:
    tool = Path(sys.executable).with_name("hadolint")
    assert tool.exists(), "hadolint is missing: install the extra [dev]"
    return subprocess.run([tool, "--no-color", path], capture_output=True, text=True, check=False, timeout=60).stdout


def test_hadolint_finds_nothing():
    assert lint(DOCKERFILE) == ""


def test_hadolint_would_find_something(tmp_path):
    (tmp_path / "Dockerfile").write_text(RECIPE.replace("--no-cache-dir ", "").replace("${RUN_AS}", "root"))
    assert set(re.findall(r"DL\d+", lint(tmp_path / "Dockerfile"))) == {"DL3042", "DL3002", "DL3066"}


def test_it_has_the_beam_that_the_package_asks_for_and_the_python_of_the_constraints():
    (beam,) = re.findall(r"^ARG BEAM=(.+)$", RECIPE, re.MULTILINE)
    (python,) = re.findall(r"^ARG PYTHON=(.+)$", RECIPE, re.MULTILINE)
    assert f'"apache-beam=={beam}"' in (ROOT / "setup.py").read_text()
    assert f"apache-beam=={beam}\n" in (ROOT / "constraints-gcp.txt").read_text()
    assert f"for Python {python}," in (ROOT / "constraints-gcp.txt").read_text()
    assert f"python{python.replace('.', '')}-template-launcher-base" in RECIPE


def test_it_is_not_root_unless_asked_to_be():
    assert re.findall(r"^USER (.+)$", RECIPE, re.MULTILINE) == ["${RUN_AS}"]
    assert re.findall(r"^ARG RUN_AS=(.+)$", RECIPE, re.MULTILINE) == ["10001"]


def test_nothing_secret_is_put_into_it():
    assert not re.search(r"^(ENV|ARG)\s.*(KEY|SECRET|TOKEN|PASSWORD)", RECIPE, re.MULTILINE | re.IGNORECASE)


def let_through() -> set[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines, "everything else must be left out"
    return {line[1:] for line in lines if line.startswith("!")}


def test_what_it_copies_from_the_repository_is_there_and_let_through():
    copied = [line.split()[1:-1] for line in RECIPE.splitlines() if line.startswith("COPY ") and "--from=" not in line]
    sources = {source for line in copied for source in line} - {"."}
    assert "constraints-gcp.txt" in sources
    assert [source for source in sources if not (ROOT / source).is_file()] == []
    assert {source.partition("/")[0] for source in sources} <= let_through()


@pytest.mark.servers
def test_what_is_let_through_is_enough_to_build_the_whole_wheel(tmp_path):
    context = tmp_path / "context"
    context.mkdir()
    for name in let_through():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, context / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path / "wheels", context]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"pipelines/cli.py", "transforms/formats/__init__.py", "pipelines/launch_files/docker/Dockerfile"} <= set(names)


@pytest.mark.parametrize(
    ("words", "started"),
    [
        (["run", "/etc/duologsync/config.yml"], "duologsync run /etc/duologsync/config.yml"),
        (["demo"], "duologsync demo"),
        (["--version"], "duologsync --version"),
        ([], "duologsync"),
        (["--worker_pool"], "boot --worker_pool"),
        (["-worker_pool"], "boot -worker_pool"),
        (["--id=1-1", "--logging_endpoint=a b:1"], "boot --id=1-1 --logging_endpoint=a b:1"),
    ],
)
def test_the_first_word_says_what_starts_in_it(words, started, tmp_path):
    for name in ("duologsync", "boot"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    script = tmp_path / "entrypoint.sh"
    script.write_text((FOLDER / "entrypoint.sh").read_text().replace("/opt/apache/beam/boot", str(tmp_path / "boot")))
    done = subprocess.run(["sh", script, *words], capture_output=True, text=True, check=True, env={"PATH": f"{tmp_path}:/bin"})
    assert done.stdout.strip() == started
