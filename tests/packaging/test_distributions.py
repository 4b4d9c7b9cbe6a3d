"""The wheel and the source distribution, built as a release builds them and installed as a user installs them."""

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.markers import Marker

from pipelines import __version__

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]
WHAT_SETUP_READS = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "pipelines/__init__.py")
BESIDE_THE_PACKAGES = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/install.md",
    "constraints.txt",
    "constraints-gcp.txt",
    "run_local.sh",
    "docs/config.sample.yml",
)


def run(*words: object, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of the tree, because a build leaves its traces in it; without what is hidden, which only this machine has."""
    folder = tmp_path_factory.mktemp("release") / "source"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist"))
    return folder


@pytest.fixture(scope="module")
def launch_files(source) -> set[str]:
    files = {str(path.relative_to(source)) for path in (source / "pipelines" / "launch_files").rglob("*") if path.is_file()}
    assert "pipelines/launch_files/duologsync.service" in files
    return files


@pytest.fixture(scope="module")
def distributions(source) -> Path:
    """The folder with both. ``build`` makes the wheel from the source distribution, so that one lacks nothing either."""
    folder = source.parent / "dist"
    run(sys.executable, "-m", "build", "--outdir", folder, source)
    return folder


@pytest.fixture(scope="module")
def wheel(distributions) -> Path:
    (wheel,) = distributions.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def in_wheel(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def in_sdist(distributions) -> set[str]:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The commands of a fresh environment with the wheel and what it asks for, and nothing else."""
    home = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(home, with_pip=True)
    run(home / "bin" / "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel)
    return home / "bin"


def test_both_carry_the_version_of_the_package(distributions):
    assert sorted(path.name for path in distributions.iterdir()) == [
        f"duologsync_beam-{__version__}-py3-none-any.whl",
        f"duologsync_beam-{__version__}.tar.gz",
    ]


@pytest.mark.parametrize("name", [*WHAT_SETUP_READS, *BESIDE_THE_PACKAGES])
def test_the_source_distribution_has_what_it_is_built_from_and_what_the_readme_names(in_sdist, name):
    assert name in in_sdist


def test_both_have_every_launch_file(in_sdist, in_wheel, launch_files):
    assert launch_files - in_sdist == set()
    assert launch_files - in_wheel == set()


def test_the_wheel_has_every_module_and_nothing_else(in_wheel, launch_files, source):
    modules = {str(path.relative_to(source)) for name in ("pipelines", "transforms") for path in (source / name).rglob("*.py")}
    page = {f"pipelines/monitoring/page.{ending}" for ending in ("html", "css", "js")}
    assert {name for name in in_wheel if ".dist-info/" not in name} == modules | launch_files | page


def test_no_test_is_in_the_wheel(in_wheel):
    assert not [name for name in in_wheel if Path(name).name.startswith(("test_", "conftest")) or name.startswith("tests")]


def test_one_command_installs_a_command_that_runs(installed, tmp_path):
    assert run(installed / "duologsync", "--version", cwd=tmp_path) == f"duologsync {__version__}\n"


def test_the_installed_command_finds_the_sample_configuration_good(installed, tmp_path):
    assert "splunk" in run(installed / "duologsync", "validate", ROOT / "docs" / "config.sample.yml", cwd=tmp_path)


def test_what_was_installed_goes_together_and_no_module_lacks_a_dependency_that_is_no_extra(installed, tmp_path):
    run(installed / "pip", "check")
    every = (
        "import importlib, pkgutil, pipelines, transforms\n"
        "from transforms.destinations import KINDS\n"
        "extras = {kind.settings.library.module for kind in KINDS.values() if kind.settings.library}\n"
        "for package in (pipelines, transforms):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not module.name.endswith('__main__'):\n"
        "            try:\n"
        "                importlib.import_module(module.name)\n"
        "            except ModuleNotFoundError as error:\n"
        "                if error.name not in extras:\n"
        "                    raise\n"
    )
    run(installed / "python", "-c", every, cwd=tmp_path)


def test_the_two_constraint_files_agree():
    def pins(name: str) -> dict[str, str]:
        lines = [line.partition(";") for line in (ROOT / name).read_text().splitlines() if "==" in line and line[0] != "#"]
        wanted = [pin for pin, _, marker in lines if not marker or Marker(marker).evaluate({"python_version": "3.11"})]
        return {pin.partition("==")[0].lower().replace("_", "-"): pin.partition("==")[2].strip() for pin in wanted}

    base, gcp = pins("constraints.txt"), pins("constraints-gcp.txt")
    assert {name: gcp[name] for name in base.keys() & gcp.keys()} == {name: base[name] for name in base.keys() & gcp.keys()}
    assert gcp["google-cloud-secret-manager"]
