"""What a backup is made of, without Borg: molecule/day-two takes and restores real ones."""

import base64
import fcntl
import io
import json
import sqlite3
import struct
import tarfile
import threading
import time

import pytest


@pytest.fixture(scope="module")
def archive(load):
    return load("roles/backup/files/archive.py")


def whisper(points=4):
    """A whisper file with one archive of zeros."""
    return struct.pack(">LLfL", 1, 10 * points, 0, 1) + struct.pack(">LLL", 28, 10, points) + bytes(12 * points)


def test_a_header_tells_the_size(archive):
    assert archive.full_size(whisper()) == len(whisper())
    assert archive.full_size(whisper()[:20]) is None
    assert archive.full_size(bytes(1000)) is None
    assert archive.full_size(b"") is None


def test_a_file_is_read_between_two_updates(archive, tmp_path):
    """While carbon holds its lock, the reader waits, and gets what is there when the lock is gone."""
    path = tmp_path / "series.wsp"
    path.write_bytes(b"before")
    with path.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = []
        reader = threading.Thread(target=lambda: found.append(archive.between_updates(path)))
        reader.start()
        file.write(b"after.")
        file.flush()
        assert not found
        fcntl.flock(file, fcntl.LOCK_UN)
        reader.join(10)
    assert found == [b"after."]


def test_a_lock_that_is_never_given_back_is_named(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LOCK_SECONDS", 0.05)
    path = tmp_path / "series.wsp"
    path.write_bytes(b"")
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(archive.Trouble, match=r"series\.wsp has been locked for"):
            archive.between_updates(path)


@pytest.fixture
def given(tmp_path):
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
    return {
        "whisper": store,
        "controller": {"secrets/key": base64.b64encode(b"secret").decode()},
        "configuration": [],
        "databases": [{"name": "graphite.db", "path": database}, {"name": "forum.db", "path": tmp_path / "none.db"}],
    }


def unpacked(archive, given, folder, age):
    """Make a backup of what is given, as if it had begun so many seconds ago, and unpack it."""
    out = io.BytesIO()
    stream = archive.Stream(out, int(time.time()) - age)
    result = archive.fill(stream, given)
    stream.end({"host": "graphs"})
    out.seek(0)
    with tarfile.open(fileobj=out) as found:
        names = found.getnames()
        found.extractall(folder, filter="data")
    return names, result


def test_a_backup_holds_everything_and_its_manifest_last(archive, given, tmp_path):
    names, (damaged, born) = unpacked(archive, given, tmp_path / "out", age=-60)
    assert names == [
        "controller/secrets/key",
        "databases/graphite.db",
        "whisper/a/cut.wsp",
        "whisper/a/whole.wsp",
        "whisper/b/born.wsp",
        "manifest.json",
    ]
    assert damaged == ["a/cut.wsp", "b/born.wsp"]
    assert born == 0
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert list(archive.faults(tmp_path / "out", manifest["files"])) == []
    with sqlite3.connect(tmp_path / "out/databases/graphite.db") as link:
        assert link.execute("select name from people").fetchall() == [("ann",)]


def test_a_series_that_carbon_is_making_is_not_in_it(archive, given, tmp_path):
    names, (damaged, born) = unpacked(archive, given, tmp_path / "out", age=60)
    assert "whisper/b/born.wsp" not in names
    assert born == 2
    assert damaged == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "is missing"), (b"short", "has 5 bytes instead of 6"), (b"Secret", "has another SHA-256")],
)
def test_what_differs_from_the_manifest_is_named(archive, given, tmp_path, content, fault):
    unpacked(archive, given, tmp_path / "out", age=0)
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    path = tmp_path / "out/controller/secrets/key"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert list(archive.faults(tmp_path / "out", manifest["files"])) == [f"controller/secrets/key {fault}"]


def test_what_borg_says_becomes_a_sentence(archive):
    def log(**entry):
        return json.dumps({"type": "log_message", "levelname": "ERROR", "message": "...", **entry})

    assert "passphrase does not open it" in archive.why("/backups", log(msgid="PassphraseWrong"))
    assert "no backups there" in archive.why("/backups", log(msgid="Repository.DoesNotExist"))
    assert "Data integrity error" in archive.why(
        "/backups", log(msgid="IntegrityError", message="Data integrity error")
    )
    assert archive.why("/backups", "no JSON") == "/backups is damaged, or Borg failed: no JSON"


def test_only_periods_that_count_are_told_to_borg(archive):
    keep = {"within": "24H", "daily": 7, "weekly": 0, "monthly": "0"}
    assert archive.kept(keep) == ["--keep-within=24H", "--keep-daily=7"]


def test_a_copy_lacks_what_is_new_and_has_what_is_gone(archive, tmp_path):
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
    found = archive.files({"repository": tmp_path, "had": had})
    assert found["id"] == "abc"
    assert found["new"] == ["config", "index.1", "nonce"]
    assert found["gone"] == ["index.0"]
    assert "lock.roster" not in found["files"]


@pytest.mark.parametrize("aside", ["", ".before-now"])
def test_a_database_that_a_command_loads_is_kept_beside_what_replaces_it(archive, tmp_path, aside):
    there, source, store = tmp_path / "database", tmp_path / "restore", tmp_path / "store/whisper"
    there.write_text("younger")
    found = {"name": "graphite.dump", "dump": ["cat", str(there)], "load": ["cp", "/dev/stdin", str(there)]}
    (source / "databases").mkdir(parents=True)
    (source / "databases/graphite.dump").write_text("older")
    store.mkdir(parents=True)
    archive.place({"from": source, "whisper": store, "owner": "", "databases": [found], "aside": aside})
    assert there.read_text() == "older"
    kept = list(store.parent.glob("graphite.dump*"))
    assert [path.read_text() for path in kept] == (["younger"] if aside else [])
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept)


def test_a_database_that_cannot_be_dumped_is_named(archive):
    with pytest.raises(archive.Trouble, match=r"graphite\.dump cannot be dumped: .*no-such"):
        archive.database({"name": "graphite.dump", "dump": ["cat", "/no-such"], "load": []})
