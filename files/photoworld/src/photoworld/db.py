"""The SQLite database: how it is created, opened and written to.

Nothing here knows what the tables are for.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another writer before giving up."""
SCHEMA_VERSION = 1


class DatabaseError(Exception):
    """The database cannot be opened or is not ours."""


def create(path: Path) -> None:
    """Create the database and its tables where they are missing; safe to call from many processes at once."""
    try:
        with _only_one_process(path.parent), closing(_open(path, "rwc")) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise DatabaseError(f"{path}: written by a newer photoworld (schema {version})")
            connection.execute("PRAGMA journal_mode = WAL")
            schema = resources.files("photoworld").joinpath("schema.sql").read_text("utf-8")
            connection.executescript(f"BEGIN;\n{schema}\nPRAGMA user_version = {SCHEMA_VERSION};\nCOMMIT;")
    except (OSError, sqlite3.Error) as error:
        raise DatabaseError(f"{path}: {error}") from error


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing database; a missing file is an error, not a new empty forum."""
    return _open(path, "rw")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write several rows or none, and have them on the disk before going on.

    A single statement outside of a transaction (a view, a sign of presence) is only handed to the
    kernel: it survives the end of the process, and is not worth a flush of the disk each.
    """
    connection.execute("PRAGMA synchronous = FULL")
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    finally:
        connection.execute("PRAGMA synchronous = NORMAL")


def fold(path: Path) -> None:
    """Move the write-ahead log into the database file, as the last process that had it open."""
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def check(connection: sqlite3.Connection) -> None:
    """Raise unless the tables can be read and the database can be written."""
    connection.execute("SELECT 1 FROM thread LIMIT 1").fetchone()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _open(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


@contextmanager
def _only_one_process(directory: Path) -> Iterator[None]:
    """Hold a lock on the directory: SQLite does not wait its turn while a file changes to WAL mode.

    Locking the database file itself would not do: closing a second descriptor of it drops SQLite's locks.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
