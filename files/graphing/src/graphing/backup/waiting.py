"""Waits until carbon has written what it had got when a backup began.

A cache writes the series with the oldest point first (CACHE_WRITE_STRATEGY = timesorted), one after the other. So when
a point of now is in its file, everything older is in its own. The point stays: it tells when backups began.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from graphing.backup import BackupError
from graphing.core.line import format_line
from graphing.core.polling import poll
from graphing.whisperfile.slots import NotWhisper, file_of, newest

_CONNECT_SECONDS = 10.0
_PAUSE = 0.2


@dataclass(frozen=True)
class Cache:
    """A carbon-cache of this host."""

    name: str
    port: int
    """Where it takes lines."""
    series: str
    """The series that gets the point."""


def await_writes(caches: Iterable[Cache], whisper: Path, began: int, patience: float) -> list[str]:
    """Wait until each cache has written all that it had got by `began`; return the names of those that do not run.

    Raises BackupError if one takes longer than `patience`, in seconds.
    """
    return [cache.name for cache in caches if not _has_written(cache, whisper, began, patience)]


def _has_written(cache: Cache, whisper: Path, began: int, patience: float) -> bool:
    """Wait for one cache; False: it does not run, so it holds nothing."""
    try:
        with socket.create_connection(("127.0.0.1", cache.port), timeout=_CONNECT_SECONDS) as carbon:
            carbon.sendall(format_line(cache.series, began, began).encode())
    except ConnectionRefusedError:
        return False
    file = file_of(whisper, cache.series)
    if not poll(lambda: is_filed(file, began), bool, patience, _PAUSE):
        raise BackupError(
            f"carbon-cache@{cache.name} has not written in {patience:g} s what it had got. Its disk is "
            "too slow (carbon.agents.*.cache.size tells), or backup_wait too short."
        )
    return True


def is_filed(path: Path, stamp: int) -> bool:
    """Tell whether a whisper file has the time itself as the value of its slot."""
    try:
        return float(stamp) in newest(path, stamp, stamp).values()
    except (OSError, NotWhisper):
        # Not there yet, or being made.
        return False
