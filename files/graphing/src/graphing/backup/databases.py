"""The databases of a host: a SQLite file, or one that a command dumps and another command loads."""

import contextlib
import sqlite3
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphing.backup import BackupError

_SAID = 300


@dataclass(frozen=True)
class Database:
    """One of them: `path` and `owner` of a SQLite file, or the commands `dump` and `load`."""

    name: str
    """Its name in the archive."""
    path: str = ""
    owner: str = ""
    dump: tuple[str, ...] = ()
    load: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Database":
        """Make it of what JSON says; keys that others need are passed over."""
        return cls(
            str(given["name"]),
            str(given.get("path", "")),
            str(given.get("owner", "")),
            tuple(given.get("dump", ())),
            tuple(given.get("load", ())),
        )

    @property
    def is_file(self) -> bool:
        """Whether it is a SQLite file."""
        return bool(self.path)

    def exists(self) -> bool:
        """Tell whether this host has it."""
        return not self.is_file or Path(self.path).exists()

    def content(self) -> bytes:
        """Return all of it as it is between two transactions. Raises BackupError."""
        if self.is_file:
            return _sqlite_content(self.path)
        done = subprocess.run(self.dump, capture_output=True, check=False)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-_SAID:]
            raise BackupError(f"{self.name} cannot be dumped: {said}")
        return done.stdout

    def load_from(self, copy: Path) -> None:
        """Have the command load a copy. Raises BackupError."""
        with copy.open("rb") as dump:
            done = subprocess.run(self.load, stdin=dump, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BackupError(f"{self.name} could not be loaded: {done.stderr.strip()[-_SAID:]}")


def existing(databases: Iterable[Database]) -> list[Database]:
    """Return those that exist on this host."""
    return [database for database in databases if database.exists()]


def _sqlite_content(path: str) -> bytes:
    """A SQLite database by its online backup."""
    source = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=30)
    with contextlib.closing(source), contextlib.closing(sqlite3.connect(":memory:")) as copy:
        source.backup(copy)
        return copy.serialize()
