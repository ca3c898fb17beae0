"""The journal: what was synced is read again, whatever a crash or a disk did; what is lost is counted exactly."""

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_support import opened, payloads, records, segments, written
from support import PACKAGE

from graphing.durable import mark, record
from graphing.durable.journal import InUse, Journal
from graphing.durable.mark import Mark
from graphing.durable.span import Position, Span

SOURCE = str(PACKAGE / "src")


def test_what_was_appended_is_read_again_after_a_restart(tmp_path):
    journal = opened(tmp_path)
    first = journal.append(b"a 1 2\nb 1 2\n", 2, 1700000000)
    second = journal.append(b"c 1 2\n", 1, 1700000010)
    assert records(journal) == [first, second]
    assert first.span.lines == 2
    assert second.span == Span(first.span.end, journal.end)
    journal.sync()
    journal.close()
    again = opened(tmp_path)
    assert records(again) == [first, second]
    assert (again.first, again.end) == (Position(0, 0), second.span.end)
    assert again.end.lines == 3
    assert stat.S_IMODE(again.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in segments(again)} == {0o600}


def test_records_are_synced_with_their_segment_and_its_name(tmp_path, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(descriptor):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    journal = opened(tmp_path)
    journal.append(b"a", 1, 100)
    assert (synced, journal.synced) == ([], Position(0, 0))
    journal.sync()
    journal.sync()
    assert synced == [str(segments(journal)[0]), str(journal.folder)]
    assert journal.synced == journal.end
    journal.append(b"b", 1, 100)
    journal.sync()
    assert synced[2:] == [str(segments(journal)[0])]


def test_a_segment_ends_when_it_is_large_or_long_enough(tmp_path):
    journal = opened(tmp_path, segment_bytes=200, segment_seconds=10)
    ends = [journal.append(b"x" * 100, 1, stamp).span.end.offset for stamp in (100, 101, 102, 112, 113)]
    assert [int(path.stem) for path in segments(journal)] == [0, ends[1], ends[2]]
    assert journal.size == ends[-1]


# Crashes


@pytest.mark.parametrize("earlier", [(), (50, 60)])
def test_a_last_record_that_is_torn_anywhere_is_cut_off(tmp_path, caplog, earlier):
    path = segments(written(tmp_path, *earlier, 40))[0]
    content = path.read_bytes()
    whole = len(content) - 40 - 36
    for cut in range(whole, len(content)):
        path.write_bytes(content[:cut])
        caplog.clear()
        journal = opened(tmp_path)
        assert [len(payload) for payload in payloads(journal)] == list(earlier)
        assert journal.end.offset == journal.size == whole
        assert ("unfinished bytes" in caplog.text) == (cut > whole or cut == 0)
        assert journal.skipped == 0
        added = journal.append(b"new", 1, 200)
        journal.sync()
        journal.close()
        journal = opened(tmp_path)
        assert records(journal)[-1] == added
        journal.close()


@pytest.mark.parametrize("position", [0, 4, 8, 20, 35, 36, 75])
def test_a_last_record_that_is_garbled_is_cut_off_too(tmp_path, position):
    path = segments(written(tmp_path, 50, 40))[0]
    garble(path, 86 + position)
    journal = opened(tmp_path)
    assert (payloads(journal), journal.skipped, journal.end.lines) == ([b"A" * 50], 0, 1)
    assert path.stat().st_size == 86


def test_a_last_segment_without_a_whole_record_is_removed(tmp_path, caplog):
    first, second = segments(written(tmp_path, 50, 40, segment_bytes=1))
    garble(second, 50)
    journal = opened(tmp_path)
    assert (payloads(journal), segments(journal)) == ([b"A" * 50], [first])
    assert f"{second}: removed" in caplog.text


def test_zeros_that_a_power_failure_left_are_cut_off(tmp_path):
    path = segments(written(tmp_path, 50))[0]
    path.write_bytes(path.read_bytes() + bytes(5000))
    (path.parent / f"{5086:020}.log").write_bytes(bytes(5000))
    journal = opened(tmp_path)
    assert payloads(journal) == [b"A" * 50]
    assert [item.stat().st_size for item in segments(journal)] == [86]


def garble(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 0x55
    path.write_bytes(content)


@pytest.mark.parametrize("position", range(76))
def test_a_bad_record_in_the_middle_is_passed_over_and_its_lines_are_known(tmp_path, caplog, monkeypatch, position):
    # The next record is found also where it begins at the end of what is searched at once.
    monkeypatch.setattr(record, "_SEARCHED", 5 + position % 4)
    path = segments(written(tmp_path, 50, 40, 30))[0]
    garble(path, 86 + position)
    journal = opened(tmp_path)
    first, third = records(journal)
    assert (first.payload, third.payload) == (b"A" * 50, b"C" * 30)
    assert third.span.start.lines - first.span.end.lines == 1
    assert journal.skipped > 0
    assert f"{path}: damaged from byte 86 to 162" in caplog.text
    # Also when reading begins in the bad one.
    assert payloads(journal, first.span.end) == [b"C" * 30]


def test_a_bad_record_in_an_older_segment_costs_only_itself(tmp_path):
    paths = segments(written(tmp_path, 50, 40, 30, segment_bytes=1))
    garble(paths[1], 50)
    journal = opened(tmp_path, segment_bytes=1)
    first, third = records(journal)
    assert third.span.start.lines - first.span.end.lines == 1
    assert len(segments(journal)) == 3


def test_a_record_within_a_payload_is_none(tmp_path):
    inner = segments(written(tmp_path, 10))[0].read_bytes()
    journal = Journal(tmp_path / "outer", 10**6, 1000)
    journal.append(b"x" + inner * 3, 1, 100)
    journal.append(b"last", 1, 100)
    path = segments(journal)[0]
    journal.close()
    garble(path, 4)
    journal = Journal(tmp_path / "outer", 10**6, 1000)
    assert payloads(journal) == [b"last"]


def test_files_that_are_not_its_own_are_named_and_left_alone(tmp_path, caplog):
    folder = written(tmp_path, 50).folder
    (folder / "notes.txt").write_text("mine")
    (folder / f"{3:020}.log").write_text("mine too")
    (folder / f"{500:020}.log").mkdir()
    (folder / f"{10**19:020}.log").write_text("far away")
    journal = opened(tmp_path)
    assert payloads(journal) == [b"A" * 50]
    for name in ("notes.txt", f"{3:020}.log", f"{500:020}.log", f"{10**19:020}.log"):
        assert f"{folder / name}" in caplog.text
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / f"{3:020}.log").read_text() == "mine too"
    # No position is used twice: the next record goes behind what can't be used.
    added = journal.append(b"new", 1, 100)
    assert added.span.start.offset > 500
    assert payloads(journal) == [b"A" * 50, b"new"]
    journal.sync()
    journal.close()
    assert payloads(opened(tmp_path)) == [b"A" * 50, b"new"]


def test_a_segment_that_vanished_is_passed_over(tmp_path, caplog):
    journal = opened(tmp_path, segment_bytes=1)
    for payload in (b"a", b"b", b"c"):
        journal.append(payload, 1, 100)
    segments(journal)[1].unlink()
    assert payloads(journal) == [b"a", b"c"]
    assert "can't be read (No such file or directory)" in caplog.text
    journal.close()
    journal = opened(tmp_path, segment_bytes=1)
    first, third = records(journal)
    assert third.span.start.lines - first.span.end.lines == 1


def test_two_processes_cannot_use_one_folder(tmp_path):
    journal = opened(tmp_path)
    program = "import sys, pathlib, graphing.durable.journal as j\ntry: j.Journal(pathlib.Path(sys.argv[1]), 1, 1)\n"
    program += "except j.InUse as error: print(error)"
    command = [sys.executable, "-c", program, str(journal.folder)]
    answer = subprocess.run(command, env={"PYTHONPATH": SOURCE}, capture_output=True, text=True, check=True)
    assert f"another process uses this journal: '{journal.folder}'" in answer.stdout
    with pytest.raises(InUse):
        opened(tmp_path)
    journal.close()
    opened(tmp_path).close()


# Disks


@pytest.mark.parametrize("earlier", [0, 1])
@pytest.mark.parametrize("room", [0, 1, 36, 50, 135])
def test_a_disk_that_is_full_in_the_middle_of_a_record_leaves_nothing_of_it(tmp_path, full_disk, room, earlier):
    journal = opened(tmp_path)
    before = [journal.append(b"a" * 100, 1, 100) for _ in range(earlier)]
    end = journal.end
    full_disk[0] = room
    with pytest.raises(OSError, match="No space left"):
        journal.append(b"b" * 100, 1, 101)
    assert (records(journal), journal.end, journal.size) == (before, end, end.offset)
    assert sum(path.stat().st_size for path in segments(journal)) == end.offset
    full_disk[0] = None
    added = journal.append(b"c" * 70, 1, 102)
    journal.sync()
    assert records(journal) == [*before, added]
    journal.close()
    assert records(opened(tmp_path)) == [*before, added]


def test_a_file_that_may_not_grow_is_like_a_full_disk(tmp_path):
    program = """
import pathlib, resource, sys
from graphing.durable.journal import Journal
journal = Journal(pathlib.Path(sys.argv[1]), 10**6, 1000)
journal.append(b"a" * 1000, 1, 100)
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
try:
    journal.append(b"b" * 1000, 1, 100)
except OSError as error:
    print(error.strerror, journal.size, (journal.folder / f"{0:020}.log").stat().st_size)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append(b"c" * 1000, 1, 100)
journal.sync()
"""
    command = [sys.executable, "-c", program, str(tmp_path / "journal")]
    answer = subprocess.run(command, env={"PYTHONPATH": SOURCE}, capture_output=True, text=True, check=True)
    assert answer.stdout == "File too large 1036 1036\n"
    assert payloads(opened(tmp_path)) == [b"a" * 1000, b"c" * 1000]


def test_records_that_cannot_be_synced_are_taken_back(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    kept = journal.append(b"a", 1, 100)
    journal.sync()
    lost = journal.append(b"b", 1, 100)

    def fails(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="Input/output"):
            journal.sync()
    assert (journal.end, records(journal)) == (kept.span.end, [kept])
    again = journal.append(b"b", 1, 100)
    journal.sync()
    assert again == lost
    assert len(segments(journal)) == 2
    journal.close()
    assert records(opened(tmp_path)) == [kept, again]


def test_a_killed_process_loses_nothing_that_it_wrote(tmp_path):
    program = """
import os, pathlib, signal, sys
from graphing.durable.journal import Journal
journal = Journal(pathlib.Path(sys.argv[1]), 200, 1000)
for index in range(20):
    journal.append(b"line %d\\n" % index, 1, 100)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "journal")]
    answer = subprocess.run(command, env={"PYTHONPATH": SOURCE}, check=False)
    assert answer.returncode == -signal.SIGKILL
    assert payloads(opened(tmp_path)) == [b"line %d\n" % index for index in range(20)]


# Finding and trimming


def test_a_position_is_found_by_its_stamp_without_reading_everything(tmp_path, monkeypatch):
    journal = opened(tmp_path, segment_bytes=500)
    made = [journal.append(b"x" * 64, 1, stamp // 3 * 10) for stamp in range(300)]
    reads = []
    real = os.pread

    def pread(descriptor, size, offset):
        reads.append(size)
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", pread)
    for stamp in (-5, 0, 1, 10, 500, 501, 989, 990):
        assert journal.position_at(stamp) == next(r.span.start for r in made if r.stamp >= stamp)
    assert journal.position_at(991) == journal.end
    assert len(reads) < 100
    assert max(reads) < 64


def test_the_oldest_segments_go_when_there_are_too_many_bytes(tmp_path):
    journal = opened(tmp_path, segment_bytes=200)
    made = [journal.append(b"x" * 64, 5, 100) for _ in range(10)]
    assert len(segments(journal)) == 5
    assert journal.trim(1000, 0) == Span(made[0].span.start, made[0].span.start)
    assert journal.trim(999, 0) == Span(made[0].span.start, made[2].span.start)
    assert journal.trim(400, 0).lines == 20
    assert (journal.size, journal.first, len(segments(journal))) == (400, made[6].span.start, 2)
    assert records(journal) == made[6:]
    assert journal.trim(0, 0).lines == 10
    assert records(journal) == made[8:]
    journal.close()
    assert opened(tmp_path).first == made[8].span.start


def test_segments_go_when_all_their_records_are_too_old(tmp_path):
    journal = opened(tmp_path, segment_bytes=200)
    made = [journal.append(b"x" * 64, 5, stamp) for stamp in range(100, 110)]
    # The next segment begins with 102: so may this one end.
    assert journal.trim(10**9, 102).lines == 0
    assert journal.trim(10**9, 103).lines == 10
    assert journal.trim(10**9, 105).lines == 10
    assert records(journal) == made[4:]
    assert journal.trim(10**9, 1000).lines == 20
    assert records(journal) == made[8:]


# How far it was delivered


def test_a_mark_is_remembered_with_whether_the_host_was_booted_since(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    assert journal.mark is None
    at = journal.append(b"a", 3, 100).span
    journal.save_mark(Mark(at.end, at.start, 1700000000))
    journal.close()
    journal = opened(tmp_path)
    assert journal.mark == Mark(at.end, at.start, 1700000000, rebooted=False)
    journal.close()
    monkeypatch.setattr(mark, "_boot_id", lambda: "another")
    assert opened(tmp_path).mark.rebooted


@pytest.mark.parametrize("content", [b"", b"1 2 3\n", b"1 2 3 4 5 \xff\n", b"1 2 3 4 5 boot", b"-1 2 3 4 5 boot\n"])
def test_a_damaged_mark_is_none(tmp_path, caplog, content):
    folder = written(tmp_path, 50).folder
    (folder / "delivered").write_bytes(content)
    journal = opened(tmp_path)
    assert (journal.mark, payloads(journal)) == (None, [b"A" * 50])
    assert f"{folder / 'delivered'} " in caplog.text


def test_positions_that_were_delivered_are_never_used_again(tmp_path):
    journal = written(tmp_path, 50, 60)
    segments(journal)[0].write_bytes(segments(journal)[0].read_bytes()[:-1])
    journal = opened(tmp_path)
    journal.save_mark(Mark(Position(182, 2), Position(182, 2), 1700000000))
    journal.close()
    journal = opened(tmp_path)
    assert journal.end == Position(182, 2)
    added = journal.append(b"new", 1, 100)
    assert added.span.start == Position(182, 2)
    assert payloads(journal) == [b"A" * 50, b"new"]


# Against a model

PAYLOADS = st.binary(max_size=40)
STEPS = st.one_of(
    st.tuples(st.just("append"), PAYLOADS, st.integers(0, 5), st.integers(0, 3)),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("tear"), st.integers(1, 80)),
    st.tuples(st.just("trim"), st.integers(0, 400), st.integers(0, 60)),
    st.tuples(st.just("sync")),
)


@settings(max_examples=200)
@given(st.lists(STEPS, max_size=25), st.integers(1, 200), st.integers(1, 10))
def test_a_journal_is_a_list(tmp_path_factory, steps, segment_bytes, segment_seconds):
    folder = tmp_path_factory.mktemp("model")
    journal = opened(folder, segment_bytes, segment_seconds)
    model = []
    stamp = lines = 0
    for step, *arguments in steps:
        if step == "append":
            payload, count, later = arguments
            stamp += later
            lines += count
            model.append((payload, count, stamp))
            journal.append(payload, count, stamp)
        elif step == "trim":
            removed = journal.trim(arguments[0], arguments[1])
            gone = 0
            while removed.lines and gone < removed.lines:
                gone += model.pop(0)[1]
            # Records of no lines at the cut belong to either side.
            while model and len(model) > len(records(journal)):
                assert model.pop(0)[1] == 0
            assert gone == removed.lines
        elif step == "sync":
            journal.sync()
        else:
            journal.close()
            paths = segments(journal)
            if step == "tear" and paths and paths[-1].stat().st_size >= arguments[0] > 0:
                size = paths[-1].stat().st_size - arguments[0]
                os.truncate(paths[-1], size)
                kept = sum(36 + len(record[0]) for record in model) - arguments[0]
                while model and sum(36 + len(record[0]) for record in model) > kept:
                    model.pop()
            journal = opened(folder, segment_bytes, segment_seconds)
        found = records(journal)
        assert [(record.payload, record.span.lines, record.stamp) for record in found] == model
        assert journal.skipped == 0
        for wanted in range(0, stamp + 2, 7):
            at = next((record.span.start for record in found if record.stamp >= wanted), None)
            assert at is None or journal.position_at(wanted) == at
    journal.close()
