"""What somebody else put in the way of our files is refused before a byte of it is touched. Whoever runs this may be root."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from transforms.duo.rate_limit.budgets import FILE_NAME, Budgets
from transforms.process.files import (
    Unsafe,
    make_private_directory,
    open_lock,
    open_new,
    open_own,
    read_own,
    refuse_shared,
    why_not_writable,
)
from transforms.state.checkpoints.local import CheckpointStore, StoreUnusable
from transforms.state.dead_letters.avro_files import AppendedAvro

VICTIM = b"another program's data"
NOBODY = 65_534


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_bytes(VICTIM)
    yield path
    assert path.read_bytes() == VICTIM


@pytest.fixture
def state(tmp_path):
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


def plant(how: str, path: Path, victim: Path) -> None:
    match how:
        case "symlink":
            path.symlink_to(victim)
        case "hard link":
            path.hardlink_to(victim)
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")


@pytest.mark.parametrize("how", ["symlink", "hard link", "pipe", "directory", "device"])
@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_WRONLY | os.O_APPEND])
def test_no_link_and_nothing_special_is_opened_to_be_written(how, flags, state, victim):
    plant(how, state / "file", victim)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the text is looked at below
        open_own(state / "file", flags)
    assert caught.value.strerror


@pytest.mark.parametrize("how", ["symlink", "pipe", "directory", "device"])
def test_no_link_and_nothing_special_is_read_and_nobody_waits_for_a_pipe(how, state, victim):
    plant(how, state / "file", victim)
    with pytest.raises(OSError):  # noqa: PT011
        read_own(state / "file")


@pytest.mark.parametrize("how", ["symlink", "hard link", "pipe", "device"])
def test_a_new_file_takes_the_place_of_what_was_planted(how, state, victim):
    plant(how, state / "x.new", victim)
    with os.fdopen(open_new(state / "x.new"), "wb") as file:
        file.write(b"ours")
    assert (state / "x.new").read_bytes() == b"ours"
    assert stat.S_IMODE((state / "x.new").lstat().st_mode) == 0o600


def test_a_link_that_is_planted_between_removing_and_making_is_not_followed(state, victim, monkeypatch):
    real = Path.unlink

    def unlink(path, **options):
        real(path, **options)
        path.symlink_to(victim)

    (state / "x.new").write_bytes(b"left over")
    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(FileExistsError):
        open_new(state / "x.new")


def test_our_own_file_is_opened_with_its_content(state):
    with os.fdopen(open_lock(state / ".lock"), "r+b") as file:
        file.write(b"42\n")
    assert read_own(state / ".lock") == b"42\n"
    with os.fdopen(open_lock(state / ".lock"), "rb") as file:
        assert file.read() == b"42\n"


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_directory_that_everybody_can_write_to_is_refused_with_the_fix(mode, state):
    state.chmod(mode)
    with pytest.raises(Unsafe) as caught:
        make_private_directory(state)
    assert f"Run: chmod 700 {state}" in str(caught.value.strerror)
    assert why_not_writable(state) is not None
    state.chmod(0o700)
    make_private_directory(state)


def found(*, uid: int, gid: int, mode: int) -> os.stat_result:
    return os.stat_result((stat.S_IFDIR | mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("me", "uid", "gid", "mode", "taken"),
    [
        pytest.param(1000, 1000, 1000, 0o700, True, id="private"),
        pytest.param(1000, 1000, 1000, 0o755, True, id="others may read"),
        pytest.param(1000, 1000, 1000, 0o775, True, id="the group is the user's own: umask 002"),
        pytest.param(1000, 1000, 100, 0o775, False, id="mine, and a group of several can write"),
        pytest.param(1000, 0, 1000, 0o2775, True, id="a volume that root handed to our group"),
        pytest.param(1000, 0, 0, 0o777, False, id="a volume that is anybody's"),
        pytest.param(1000, 1001, 1001, 0o755, False, id="another user's"),
        pytest.param(0, 1000, 1000, 0o755, True, id="root on a user's directory"),
        pytest.param(0, 0, 0, 0o777, False, id="root on anybody's directory"),
    ],
)
def test_whose_directories_are_taken(me, uid, gid, mode, taken, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: me)
    monkeypatch.setattr(os, "getegid", lambda: me)
    if taken:
        refuse_shared(Path("/state"), found(uid=uid, gid=gid, mode=mode))
    else:
        with pytest.raises(Unsafe):
            refuse_shared(Path("/state"), found(uid=uid, gid=gid, mode=mode))


def test_every_missing_parent_of_a_state_directory_is_for_the_owner_alone(tmp_path):
    before = os.umask(0)
    try:
        make_private_directory(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    for each in ("a", "a/b", "a/b/c"):
        assert stat.S_IMODE((tmp_path / each).stat().st_mode) == 0o700


def test_many_threads_may_make_the_same_directory(tmp_path):
    errors = []

    def make():
        try:
            make_private_directory(tmp_path / "x" / "y" / "z")
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.skipif(os.geteuid() != 0, reason="not allowed here: to make files of another user")
def test_a_file_of_another_user_is_neither_read_nor_written(state):
    (state / "file").write_bytes(b"theirs")
    os.chown(state / "file", NOBODY, NOBODY)
    for use in (read_own, open_lock):
        with pytest.raises(Unsafe, match="another user"):
            use(state / "file")
    os.chown(state, NOBODY, NOBODY)  # root in that user's directory: an earlier run of theirs left it
    assert read_own(state / "file") == b"theirs"


# --- those who use it ------------------------------------------------------------------------------------------------


def test_the_lock_is_not_written_through_a_link(state, victim):
    (state / ".lock").symlink_to(victim)
    with pytest.raises(StoreUnusable, match="symbolic link"):
        CheckpointStore(state).lock()


def test_the_store_refuses_a_directory_that_others_can_write_to(state):
    state.chmod(0o1777)
    with pytest.raises(StoreUnusable, match=r"not safe.*chmod 700"):
        CheckpointStore(state).lock()


def test_a_record_that_is_a_link_is_not_believed_and_told(state, victim, caplog):
    (state / "main.auth.siem.json").symlink_to(victim)
    assert list(CheckpointStore(state).records()) == []
    assert "symbolic link" in caplog.text


def test_the_rate_budgets_are_not_read_through_a_link(state, victim, caplog):
    (state / FILE_NAME).symlink_to(victim)
    Budgets().load(state)
    assert "symbolic link" in caplog.text


def test_a_dead_letter_file_is_never_one_that_was_there(state, victim):
    (state / "x.avro").symlink_to(victim)
    file = AppendedAvro(state / "x.avro", {"type": "record", "name": "R", "fields": []}, [])
    file.close()
    assert not (state / "x.avro").is_symlink()


def test_where_the_program_has_no_right_to_write_it_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    assert "is not a directory" in str(why_not_writable(tmp_path / "file" / "dead"))
    assert why_not_writable(tmp_path / "new" / "dead") is None
    code = (
        "import os, sys; from pathlib import Path; from transforms.process.files import why_not_writable\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "print(why_not_writable(Path('/etc/duologsync-of-nobody')))"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert "/etc cannot be written to" in done.stdout
