"""The database file: many processes, old and new versions, all or nothing."""

import multiprocessing
import sqlite3
from contextlib import closing

import pytest

from photoworld import accounts, db, forum
from photoworld.text import Refused


def _create(path, barrier, results):
    barrier.wait(60)
    try:
        db.create(path)
    except db.DatabaseError as error:
        results.put(str(error))
    else:
        results.put("created")


@pytest.mark.parametrize("attempt", range(3))
def test_many_workers_may_start_at_once_on_an_empty_disk(tmp_path, attempt):
    workers = 8
    processes = multiprocessing.get_context("spawn")
    barrier, results = processes.Barrier(workers), processes.Queue()
    path = tmp_path / "forum.sqlite3"
    started = [processes.Process(target=_create, args=(path, barrier, results)) for _ in range(workers)]
    for process in started:
        process.start()
    assert [results.get(timeout=60) for _ in started] == ["created"] * workers
    for process in started:
        process.join(60)
    with closing(db.connect(path)) as connection:
        db.check(connection)
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_creating_again_keeps_everything(tmp_path):
    path = tmp_path / "forum.sqlite3"
    db.create(path)
    with closing(db.connect(path)) as connection:
        accounts.sign_up(connection, "ada", "correct horse", 0.0)
    db.create(path)
    with closing(db.connect(path)) as connection:
        assert accounts.find(connection, 1) == accounts.Member(1, "ada")


def test_a_database_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "forum.sqlite3"
    db.create(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(db.DatabaseError, match="newer photoworld"):
        db.create(path)


@pytest.fixture
def connection(tmp_path):
    path = tmp_path / "a name with % and ?.sqlite3"
    db.create(path)
    with closing(db.connect(path)) as connection:
        yield connection


def _add_members(connection, *names):
    with db.transaction(connection):
        for name in names:
            connection.execute("INSERT INTO member (name, password_hash, joined_at) VALUES (?, '', 0)", (name,))


def test_a_transaction_that_fails_leaves_nothing(connection):
    with pytest.raises(sqlite3.IntegrityError):
        _add_members(connection, "ada", "ada")
    assert connection.execute("SELECT count(*) FROM member").fetchone()[0] == 0
    _add_members(connection, "ada")
    assert connection.execute("SELECT count(*) FROM member").fetchone()[0] == 1


def test_foreign_keys_are_watched(connection):
    with pytest.raises(sqlite3.IntegrityError):
        forum.start_thread(connection, 99, "Fog", "Look.", now=0.0)
    assert connection.execute("SELECT count(*) FROM thread").fetchone()[0] == 0


def test_a_post_that_is_refused_leaves_no_thread(connection):
    member = accounts.sign_up(connection, "ada", "correct horse", 0.0)
    with pytest.raises(Refused):
        forum.start_thread(connection, member.id, "Fog", " ", now=0.0)
    assert connection.execute("SELECT count(*) FROM thread").fetchone()[0] == 0


@pytest.mark.parametrize(
    ("wanted", "items", "expected"),
    [
        (1, 0, (1, 1)),
        (1, 20, (1, 1)),
        (2, 20, (1, 1)),
        (2, 21, (2, 2)),
        (3, 40, (2, 2)),
        (0, 50, (1, 3)),
    ],
)
def test_paging(wanted, items, expected):
    paging = forum.Paging.of(wanted, items, 20)
    assert (paging.page, paging.pages) == expected
