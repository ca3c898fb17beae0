"""What goes into a backup: whisper files as they are between two updates, configuration, and the rest."""

import base64
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from graphing.backup import BackupError
from graphing.backup.archive import Stream
from graphing.backup.databases import Database, existing
from graphing.core.polling import poll
from graphing.whisperfile.layout import Broken, decode_layout

LOCK_SECONDS = 60.0
"""How long somebody may hold the lock of a whisper file."""
_PAUSE = 0.005


@dataclass(frozen=True)
class Sources:
    """Where the contents of a backup come from."""

    whisper: Path
    databases: tuple[Database, ...]
    configuration: tuple[Path, ...]
    """Files, and directories with all that is in them."""
    controller: Mapping[str, str]
    """The controller's files by name, in base64."""


@dataclass(frozen=True)
class Filled:
    """How it went with the whisper files."""

    damaged: list[str]
    """Series whose files are not whole: they are in the backup as they are."""
    born: int
    """How many were being created and are left out: all their numbers are younger than the backup."""


def fill(stream: Stream, sources: Sources) -> Filled:
    """Add everything to an archive. Raises BackupError."""
    for name, text in sources.controller.items():
        stream.add(f"controller/{name}", base64.b64decode(text))
    for name, content, mode in configuration_files(sources.configuration):
        stream.add(name, content, mode)
    for database in existing(sources.databases):
        stream.add(f"databases/{database.name}", database.content())
    return _fill_series(stream, sources.whisper)


def _fill_series(stream: Stream, whisper: Path) -> Filled:
    damaged, born = [], 0
    for name in series_files(whisper):
        path = whisper / name
        try:
            content, status = read_between_updates(path), path.stat()
        except FileNotFoundError:
            continue  # removed meanwhile
        if not is_whole(content):
            if status.st_mtime >= stream.began:
                born += 1
                continue
            damaged.append(name)
        stream.add(f"whisper/{name}", content, status.st_mode & 0o777)
    return Filled(damaged, born)


def series_files(whisper: Path) -> Iterator[str]:
    """Paths of the whisper files below a directory, relative to it, in order. Nothing there is changed."""
    for folder, folders, names in os.walk(whisper):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".wsp"):
                yield str(Path(folder, name).relative_to(whisper))


def is_whole(raw: bytes) -> bool:
    """Tell whether bytes are a whisper file, all of it."""
    try:
        return decode_layout(raw).bytes == len(raw)
    except Broken:
        return False


def read_between_updates(path: Path, patience: float = LOCK_SECONDS) -> bytes:
    """A file's content while nobody writes to it: carbon holds this lock for each update (WHISPER_LOCK_WRITES).

    Raises BackupError if the lock is held for longer than `patience`, in seconds.
    """
    with path.open("rb") as file:
        if not poll(lambda: _has_locked(file), bool, patience, _PAUSE):
            raise BackupError(f"{path} has been locked for {patience:.0f} s. End what works on it.")
        return file.read()


def _has_locked(file: BufferedReader) -> bool:
    """Lock the file for reading unless somebody writes to it; return whether that was done."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def configuration_files(paths: Iterable[Path]) -> Iterator[tuple[str, bytes, int]]:
    """Names, contents and modes of the files at or below the paths, all of them in /etc."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                yield f"etc/{file.relative_to('/etc')}", file.read_bytes(), file.stat().st_mode & 0o777
