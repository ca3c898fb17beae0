"""What a backup is made of, without Borg: molecule/day-two takes and restores real ones."""

import base64
import fcntl
import io
import json
import socket
import sqlite3
import struct
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
from ports import reserve_port

from graphing.backup import BackupError
from graphing.backup.archive import Stream, faults
from graphing.backup.contents import Sources, fill, is_whole, read_between_updates
from graphing.backup.databases import Database
from graphing.backup.placing import place_files
from graphing.backup.repository import explain
from graphing.backup.survey import list_files
from graphing.backup.taking import keep_options
from graphing.backup.waiting import Cache, await_writes, is_filed

SOURCE = Path(__file__).parents[2] / "src"


def whisper(points=4):
    """A whisper file with one archive of zeros."""
    return struct.pack(">LLfL", 1, 10 * points, 0, 1) + struct.pack(">LLL", 28, 10, points) + bytes(12 * points)


def test_a_file_is_whole_if_it_is_as_long_as_its_header_says():
    assert is_whole(whisper())
    assert not is_whole(whisper()[:-1])
    assert not is_whole(whisper()[:20])
    assert not is_whole(bytes(1000))
    assert not is_whole(b"")


def test_a_file_is_read_between_two_updates(tmp_path):
    """While carbon holds its lock, the reader waits, and gets what is there when the lock is gone."""
    path = tmp_path / "series.wsp"
    path.write_bytes(b"before")
    with path.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = []
        reader = threading.Thread(target=lambda: found.append(read_between_updates(path)))
        reader.start()
        file.write(b"after.")
        file.flush()
        assert not found
        fcntl.flock(file, fcntl.LOCK_UN)
        reader.join(10)
    assert found == [b"after."]


def test_a_lock_that_is_never_given_back_is_named(tmp_path):
    path = tmp_path / "series.wsp"
    path.write_bytes(b"")
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match=r"series\.wsp has been locked for"):
            read_between_updates(path, patience=0.05)


@pytest.fixture
def sources(tmp_path):
    """A host with a whole series, one that was cut off long ago and one that carbon is making."""
    store = tmp_path / "whisper"
    for name, content in {"a/whole": whisper(), "a/cut": whisper()[:-5], "b/born": whisper()[:20]}.items():
        path = store / f"{name}.wsp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (store / "a/notes.txt").write_text("no series")
    database = tmp_path / "graphite.db"
    with sqlite3.connect(database) as link:
        link.execute("create table people (name text)")
        link.execute("insert into people values ('ann')")
    return Sources(
        store,
        (Database("graphite.db", str(database)), Database("forum.db", str(tmp_path / "none.db"))),
        (),
        {"secrets/key": base64.b64encode(b"secret").decode()},
    )


def unpacked(sources, folder, age):
    """Make a backup of the sources, as if it had begun so many seconds ago, and unpack it."""
    out = io.BytesIO()
    stream = Stream(out, int(time.time()) - age)
    result = fill(stream, sources)
    stream.end({"host": "graphs"})
    out.seek(0)
    with tarfile.open(fileobj=out) as found:
        names = found.getnames()
        found.extractall(folder, filter="data")
    return names, result


def test_a_backup_holds_everything_and_its_manifest_last(sources, tmp_path):
    names, filled = unpacked(sources, tmp_path / "out", age=-60)
    assert names == [
        "controller/secrets/key",
        "databases/graphite.db",
        "whisper/a/cut.wsp",
        "whisper/a/whole.wsp",
        "whisper/b/born.wsp",
        "manifest.json",
    ]
    assert filled.damaged == ["a/cut.wsp", "b/born.wsp"]
    assert filled.born == 0
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert list(faults(tmp_path / "out", manifest["files"])) == []
    with sqlite3.connect(tmp_path / "out/databases/graphite.db") as link:
        assert link.execute("select name from people").fetchall() == [("ann",)]


def test_a_series_that_carbon_is_making_is_not_in_it(sources, tmp_path):
    names, filled = unpacked(sources, tmp_path / "out", age=60)
    assert "whisper/b/born.wsp" not in names
    assert filled.born == 2
    assert filled.damaged == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "is missing"), (b"short", "has 5 bytes instead of 6"), (b"Secret", "has another SHA-256")],
)
def test_what_differs_from_the_manifest_is_named(sources, tmp_path, content, fault):
    unpacked(sources, tmp_path / "out", age=0)
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    path = tmp_path / "out/controller/secrets/key"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert list(faults(tmp_path / "out", manifest["files"])) == [f"controller/secrets/key {fault}"]


def test_what_borg_says_becomes_a_sentence():
    def log(**entry):
        return json.dumps({"type": "log_message", "levelname": "ERROR", "message": "...", **entry})

    assert "passphrase does not open it" in explain("/backups", log(msgid="PassphraseWrong"))
    assert "no backups there" in explain("/backups", log(msgid="Repository.DoesNotExist"))
    assert "Data integrity error" in explain("/backups", log(msgid="IntegrityError", message="Data integrity error"))
    assert explain("/backups", "no JSON") == "/backups is damaged, or Borg failed: no JSON"


def test_only_periods_that_count_are_told_to_borg():
    keep = {"within": "24H", "daily": 7, "weekly": 0, "monthly": "0"}
    assert keep_options(keep) == ["--keep-within=24H", "--keep-daily=7"]


def test_a_copy_lacks_what_is_new_and_has_what_is_gone(tmp_path):
    for name, content in {
        "config": "[repository]\nid = abc\n",
        "nonce": "1",
        "data/0/1": "one",
        "index.1": "i",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "lock.roster").write_text("{}")
    had = {"config": len("[repository]\nid = abc\n"), "nonce": 1, "data/0/1": 3, "index.0": 1}
    found = list_files(tmp_path, had)
    assert found["id"] == "abc"
    assert found["new"] == ["config", "index.1", "nonce"]
    assert found["gone"] == ["index.0"]
    assert "lock.roster" not in found["files"]


@pytest.mark.parametrize("aside", ["", ".before-now"])
def test_a_database_that_a_command_loads_is_kept_beside_what_replaces_it(tmp_path, aside):
    there, source, store = tmp_path / "database", tmp_path / "restore", tmp_path / "store/whisper"
    there.write_text("younger")
    found = Database("graphite.dump", dump=("cat", str(there)), load=("cp", "/dev/stdin", str(there)))
    (source / "databases").mkdir(parents=True)
    (source / "databases/graphite.dump").write_text("older")
    store.mkdir(parents=True)
    place_files(source, store, "", [found], aside)
    assert there.read_text() == "older"
    kept = list(store.parent.glob("graphite.dump*"))
    assert [path.read_text() for path in kept] == (["younger"] if aside else [])
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept)


def test_a_database_that_cannot_be_dumped_is_named():
    with pytest.raises(BackupError, match=r"graphite\.dump cannot be dumped: .*no-such"):
        Database("graphite.dump", dump=("cat", "/no-such")).content()


# Carbon's writes

BEGAN = 1_800_000_007


def filed(path, value, stamp=BEGAN):
    """A whisper file whose first slot is that of the time."""
    slot = struct.pack(">Ld", stamp - stamp % 10, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(whisper()[:28] + slot + bytes(36))


def test_a_point_is_filed_when_its_slot_has_the_time_itself(tmp_path):
    path = tmp_path / "series.wsp"
    assert not is_filed(path, BEGAN)
    path.write_bytes(whisper()[:20])
    assert not is_filed(path, BEGAN)
    path.write_bytes(whisper())
    assert not is_filed(path, BEGAN)
    filed(path, BEGAN - 1.0)
    assert not is_filed(path, BEGAN)
    filed(path, float(BEGAN), BEGAN - 40)
    assert not is_filed(path, BEGAN)
    filed(path, float(BEGAN))
    assert is_filed(path, BEGAN)


def test_each_cache_that_runs_gets_a_point_and_has_it_written(tmp_path):
    filed(tmp_path / "backups/host-a.wsp", float(BEGAN))
    with socket.create_server(("127.0.0.1", 0)) as carbon:
        caches = [
            Cache("a", carbon.getsockname()[1], "backups.host-a"),
            Cache("b", reserve_port(), "backups.host-b"),
        ]
        assert await_writes(caches, tmp_path, BEGAN, 10) == ["b"]
        client, _ = carbon.accept()
        with client:
            assert client.recv(100) == f"backups.host-a {BEGAN} {BEGAN}\n".encode()


def test_a_cache_that_is_too_slow_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as carbon:
        cache = Cache("a", carbon.getsockname()[1], "backups.host-a")
        with pytest.raises(BackupError, match=r"carbon-cache@a has not written in 0\.1 s what it had got"):
            await_writes([cache], tmp_path, BEGAN, 0.1)


# The command


def command(work, given, path=""):
    """Run the command; `path` is where programs are looked for first."""
    return subprocess.run(
        [sys.executable, "-m", "graphing", "backup", work],
        env={"PYTHONPATH": str(SOURCE), "PATH": f"{path}:/usr/bin:/bin"},
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_answers_json_with_json(tmp_path):
    (tmp_path / "config").write_text("id = abc\n")
    run = command("files", {"repository": str(tmp_path)})
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout) == {"id": "abc", "files": {"config": 9}, "new": ["config"], "gone": []}


def test_the_command_looks_at_what_there_is(sources, tmp_path):
    given = {"whisper": str(sources.whisper), "repository": str(tmp_path / "none")}
    # What a role says besides is passed over.
    databases = [{"name": "graphite.db", "path": str(tmp_path / "graphite.db"), "owner": "x", "keep_by": "y"}]
    databases.append({"name": "forum.db", "path": str(tmp_path / "none.db"), "owner": "x"})
    found = json.loads(command("look", given | {"databases": databases}).stdout)
    assert found["series"] == 3
    assert found["databases"] == ["graphite.db"]
    assert found["bytes"] == 3 * len(whisper()) - 5 - len(whisper()[20:]) + (tmp_path / "graphite.db").stat().st_size
    assert not found["begun"]


def test_the_command_says_in_one_sentence_what_is_wrong(tmp_path):
    borg = tmp_path / "borg"
    said = {"levelname": "ERROR", "msgid": "PassphraseWrong", "message": ""}
    borg.write_text(f"#!/bin/sh\necho '{json.dumps(said)}' >&2\nexit 2\n")
    borg.chmod(0o755)
    given = {"repository": "/copy", "called": "/the/original", "passphrase": "x", "ssh": "ssh"}
    given |= {"host": "h", "archive": ""}
    run = command("find", given, path=tmp_path)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (
        "/the/original: the passphrase does not open it. Give the one that it was made with (backup_passphrase).\n"
    )
