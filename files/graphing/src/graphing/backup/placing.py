"""Puts the files of a backup in their place, while nothing runs there."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from graphing.backup.databases import Database

_SQLITE_COMPANIONS = ("-wal", "-shm", "-journal")


def place_files(source: Path, whisper: Path, owner: str, databases: Iterable[Database], aside: str) -> None:
    """Move whisper files and databases from `source`; `aside` is the ending of what they replace ('': it is not kept).

    Each is moved in one step, so an interrupted run goes on where it stopped. Raises BackupError.
    """
    if (source / "whisper").is_dir():
        _give(source / "whisper", owner)
        (source / "whisper").chmod(0o755)
        _clear(whisper, aside)
        (source / "whisper").rename(whisper)
    for database in databases:
        copy = source / "databases" / database.name
        if not copy.is_file():
            continue
        if database.load:
            if aside:
                _keep_dump(database, whisper.with_name(database.name + aside))
            database.load_from(copy)
        else:
            _place_sqlite(copy, database, aside)
        copy.unlink()
    # Empty, it tells a later run that this one has not come to its end.
    shutil.rmtree(source)
    source.mkdir(mode=0o700)


def _keep_dump(database: Database, before: Path) -> None:
    before.touch(mode=0o600)
    before.write_bytes(database.content())


def _place_sqlite(copy: Path, database: Database, aside: str) -> None:
    path = Path(database.path)
    fresh = path.with_name(path.name + ".restored")
    shutil.copyfile(copy, fresh)
    fresh.chmod(0o640)
    _give(fresh, database.owner)
    for ending in _SQLITE_COMPANIONS:
        path.with_name(path.name + ending).unlink(missing_ok=True)
    _clear(path, aside)
    fresh.rename(path)


def _clear(path: Path, ending: str) -> None:
    """Move what is at the path out of the way, or remove it if nothing is to be kept."""
    if ending and path.exists():
        path.rename(path.with_name(path.name + ending))
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _give(path: Path, owner: str) -> None:
    """Give a file, or a folder and all in it, to a user and the group of its name; folders with the service's mode."""
    shutil.chown(path, owner, owner)
    for folder, folders, names in os.walk(path):
        for name in folders + names:
            shutil.chown(Path(folder, name), owner, owner)
        Path(folder).chmod(0o750)
