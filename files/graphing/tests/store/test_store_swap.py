"""Files are exchanged and taken away while others write to them as carbon does; each of their points is there."""

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import whisper
from programs import wait_for
from store_support import content, create, layout, seen

from graphing.store import StoreError, swap
from graphing.whisperfile.resize import resized

KEPT = layout((1, 3600), (60, 1440), method="sum")
LONGER = layout((1, 7200), (60, 2880), method="sum")

# carbon's writer: by name, with the library's lock, one point after the other, to each of the files in turn.
WRITER = """
import sys, time, whisper
whisper.LOCK = True
path, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for n in range(count):
    whisper.update_many(path, [(first + n, 1.0)])
print("done")
"""

# One that has the file open, and writes when it is told to.
LATE = """
import fcntl, sys, whisper
with open(sys.argv[1], "r+b", 0) as file:
    print("open", flush=True)
    sys.stdin.readline()
    fcntl.flock(file, fcntl.LOCK_EX)
    whisper.file_update_many(file, [(int(sys.argv[2]), 7.0)])
"""


@pytest.fixture
def path(tmp_path):
    return create(tmp_path / "a.wsp", KEPT)


def longer(found):
    return resized(found, LONGER, int(time.time()))


def shorter(found):
    return resized(found, KEPT, int(time.time()))


@contextlib.contextmanager
def late_writer(path, stamp):
    process = subprocess.Popen(
        [sys.executable, "-c", LATE, str(path), str(stamp)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "open\n"
    yield process
    with process:
        process.kill()


def in_the_background(call):
    failures = []

    def run():
        try:
            call()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, failures


def test_a_writer_loses_no_point_while_its_file_is_exchanged_again_and_again(path):
    first = int(time.time()) - 3000
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(first), "2500"], stdout=subprocess.PIPE)
    exchanges = 0
    while writer.poll() is None:
        swap.replace(path, shorter if exchanges % 2 else longer)
        exchanges += 1
    assert writer.communicate()[0] == b"done\n"
    assert writer.returncode == 0
    assert exchanges > 3
    points = seen(path, 1)
    assert [points.get(first + n) for n in range(2500)] == [1.0] * 2500
    assert sum(seen(path, 60).values()) == 2500
    assert os.listdir(path.parent) == ["a.wsp"]


def test_one_who_had_the_old_file_open_finds_its_point_in_the_new_one(path):
    stamp = int(time.time()) - 100
    inode = path.stat().st_ino
    with late_writer(path, stamp) as writer:
        thread, failures = in_the_background(lambda: swap.replace(path, longer))
        wait_for(lambda: path.stat().st_ino != inode, "the exchange")
        assert thread.is_alive(), "it waits for the writer"
        with path.open("rb") as new, pytest.raises(BlockingIOError):
            fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
        writer.communicate("now\n")
        thread.join()
    assert failures == []
    assert seen(path, 1) == {stamp: 7.0}
    assert seen(path, 60) == {stamp - stamp % 60: 7.0}


def test_the_old_file_is_kept_as_it_was(path, tmp_path):
    before = path.read_bytes()
    swap.replace(path, longer, tmp_path / "kept" / "a.wsp")
    assert (tmp_path / "kept" / "a.wsp").read_bytes() == before
    assert content(path).layout == LONGER


@pytest.mark.parametrize("mode", [0o640, 0o600])
def test_mode_and_times_stay_and_holes_are_holes(path, mode):
    path.chmod(mode)
    os.utime(path, (1, 2))
    whisper.create(str(path.with_name("sparse.wsp")), [tuple(a) for a in KEPT.archives], 0, "sum", sparse=True)
    for file in (path, path.with_name("sparse.wsp")):
        swap.replace(file, longer)
        assert file.stat().st_size == LONGER.bytes
    assert (path.stat().st_mode & 0o777, path.stat().st_mtime) == (mode, 2)
    assert path.stat().st_blocks * 512 >= LONGER.bytes
    assert path.with_name("sparse.wsp").stat().st_blocks * 512 < LONGER.bytes / 4


def test_a_failure_leaves_everything_as_it_was(path):
    before = path.read_bytes()

    def fail(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        swap.replace(path, fail)
    (path.parent / "kept").write_text("")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        swap.replace(path, longer, path.parent / "kept" / "a.wsp")
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == ["a.wsp", "kept"]


def test_who_never_lets_go_is_named(path, monkeypatch):
    monkeypatch.setattr(swap, "_DEADLINE", 0.2)
    with late_writer(path, 1), pytest.raises(StoreError, match=r"a\.wsp: another process has kept it open"):
        swap.replace(path, longer)


def test_a_file_is_taken_with_what_it_held(path):
    stamp = int(time.time()) - 10
    whisper.update(str(path), 3, stamp)
    before = path.read_bytes()
    assert swap.remove_file(path, lambda raw: raw != before) == before
    assert not path.exists()


def test_a_file_that_is_wanted_stays(path):
    before = path.read_bytes()
    assert swap.remove_file(path, lambda _: True) is None
    assert path.read_bytes() == before


@pytest.mark.parametrize("recreated", [False, True])
def test_a_file_that_gets_a_point_while_it_is_taken_comes_back(path, recreated):
    stamp = int(time.time()) - 100
    empty = path.read_bytes()
    with late_writer(path, stamp) as writer:
        thread, failures = in_the_background(lambda: swap.remove_file(path, lambda raw: raw != empty))
        wait_for(lambda: not path.exists(), "the removal")
        if recreated:
            create(path, KEPT, [(stamp + 5, 2)])
        writer.communicate("now\n")
        thread.join()
    assert failures == []
    assert seen(path, 1) == {stamp: 7.0} | ({stamp + 5: 2.0} if recreated else {})
    assert os.listdir(path.parent) == ["a.wsp"]


def test_two_tools_do_not_meddle(tmp_path, monkeypatch):
    monkeypatch.setattr(swap, "_DEADLINE", 0.1)
    with (
        swap.alone(tmp_path),
        pytest.raises(StoreError, match="another retention, prune or rename"),
        swap.alone(tmp_path),
    ):
        pass


def test_this_file_system_has_leases(tmp_path):
    swap.check_leases(tmp_path)
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        swap.check_leases(Path("/nowhere"))
