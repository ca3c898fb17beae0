"""Whether a file system is full, or will be soon if it goes on filling as it does."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from graphing.checks.verdict import State, Verdict

HISTORY_SECONDS = 6 * 3600.0
SAMPLE_SECONDS = 60.0
_SEEN_AHEAD = 24
"""Growth that was seen for a time is believed to go on for so many times as long."""
_SHORTEST = 180.0
"""Less than this is no growth but a burst."""

_REMEDY = (
    "Free some space or make the file system larger: `du -xh --max-depth=3 {path} | sort -h | tail` shows what takes "
    "it. Stale series may go, and a shorter carbon_retentions makes new ones smaller."
)


class Space(NamedTuple):
    """A file system at a time."""

    when: float
    """Seconds since 1970."""
    path: str
    total: int
    """Bytes that may be used by others than root."""
    free: int
    files: int
    """How many files there may be; 0 where that has no bound."""
    files_free: int


def measure(path: str, now: float) -> Space | None:
    """Look at the file system of a path; None if there is no such path."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    used = found.f_blocks - found.f_bfree
    total = (used + found.f_bavail) * found.f_frsize
    return Space(now, path, total, found.f_bavail * found.f_frsize, found.f_files, found.f_favail)


def seconds_until_full(seen: Sequence[Space]) -> float | None:
    """Return when the space will be used up, seconds after the last of the looks; None if that can't be foreseen.

    The slower of two growths counts, over all of the time and over its last third: what has stopped growing is
    no danger, and a burst is no growth. What is further ahead than `_SEEN_AHEAD` times the time seen is not foreseen.
    """
    latest = seen[-1]
    span = latest.when - seen[0].when
    if span < _SHORTEST:
        return None
    recent = next(space for space in seen if space.when >= latest.when - span / 3)
    rates = [
        (before.free - latest.free) / (latest.when - before.when)
        for before in (seen[0], recent)
        if latest.when > before.when
    ]
    rate = min(rates)
    if rate <= 0:
        return None
    left = latest.free / rate
    return left if left <= span * _SEEN_AHEAD else None


def judge(seen: Sequence[Space], full_percent: float, hours: float, reserve: int = 0) -> Verdict:
    """Tell of the looks at one file system, oldest first, whether it is full, or will be within `hours`.

    `reserve`: the bytes that carbon leaves free. At twice as many it is time to say so.
    """
    latest = seen[-1]
    check, remedy = f"disk {latest.path}", _REMEDY.format(path=latest.path)
    used = 100 - 100 * latest.free / latest.total if latest.total else 0.0
    level = f"{used:.0f} % of {_shown(latest.total)} used"
    if used >= full_percent:
        return Verdict(check, State.FAIL, f"{latest.path} is full: {level}", remedy)
    if latest.free < 2 * reserve:
        what = f"{latest.path} has {_shown(latest.free)} left; with {_shown(reserve)} carbon takes no more points"
        return Verdict(check, State.FAIL, what, remedy)
    if latest.files and 100 - 100 * latest.files_free / latest.files >= full_percent:
        return Verdict(check, State.FAIL, f"{latest.path} has {latest.files_free:,} inodes left for files", remedy)
    left = seconds_until_full(seen)
    if left is not None and left < hours * 3600:
        return Verdict(check, State.WARN, f"{latest.path} will be full in {_duration(left)}: {level}", remedy)
    return Verdict(check, State.OK, f"{latest.path}: {level}")


def thinned(seen: list[Space]) -> list[Space]:
    """Forget what is older than the history, and all but one look of each sample's time, but keep the newest."""
    latest = seen[-1]
    kept: list[Space] = []
    for space in seen[:-1]:
        if space.when > latest.when - HISTORY_SECONDS and (not kept or space.when >= kept[-1].when + SAMPLE_SECONDS):
            kept.append(space)
    return [*kept, latest]


def _shown(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.0f} hours" if seconds >= 7200 else f"{max(1, seconds / 60):.0f} minutes"
