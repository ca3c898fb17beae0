"""Whether a file system is full, or will be soon if it goes on filling as it does."""

import bisect
import itertools
import os
from collections.abc import Sequence
from typing import NamedTuple

from graphing.checks.units import duration, shown
from graphing.checks.verdict import State, Verdict

_SPANS = tuple(hours * 3600.0 for hours in (1, 2, 4, 8, 12))
"""Growth must have gone on for one of these before it is believed: an installation is over by then."""
_SEEN_AHEAD = 4
"""It is believed to go on for so many times as long."""
HISTORY_SECONDS = _SPANS[-1]
SAMPLE_SECONDS = 60.0

_REMEDY = (
    "Free some space or make the file system larger: `du -xh --max-depth=3 {path} | sort -h | tail` shows what takes "
    "it. Remove stale series (playbooks/prune.yml); a shorter carbon_retentions makes new ones smaller."
)
_RESERVE_REMEDY = "How much it leaves free is carbon_disk_reserve."


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
    """Return when the space will be used up, seconds after the last of the looks; None if that can't be foreseen."""
    foreseen = [_foreseen(seen, span) for span in _SPANS if seen[-1].when - seen[0].when >= span - SAMPLE_SECONDS]
    return min((left for left in foreseen if left is not None), default=None)


def _foreseen(seen: Sequence[Space], span: float) -> float | None:
    """The same from the last `span` seconds alone, by how much was taken in each third of them.

    The slowest third counts, so a burst is no growth, and what has stopped is no danger. Growth that slows down from
    third to third is thought to go on so, as that of new series does: then all that is to come has a bound.
    """
    latest, third = seen[-1], span / 3
    free = [_free_at(seen, latest.when - back * third) for back in (3, 2, 1, 0)]
    taken = [before - after for before, after in itertools.pairwise(free)]
    slowest = min(taken)
    if slowest <= 0:
        return None
    if taken[0] > taken[1] > taken[2]:
        # Each third takes `ratio` of what the one before took.
        ratio = (taken[2] / taken[0]) ** 0.5
        if taken[2] * ratio / (1 - ratio) <= latest.free:
            return None
    left = latest.free / slowest * third
    return left if left <= span * _SEEN_AHEAD else None


def _free_at(seen: Sequence[Space], when: float) -> int:
    """Return what was free at the first look from a time on."""
    return seen[bisect.bisect_left(seen, when, key=lambda space: space.when)].free


def judge(seen: Sequence[Space], full_percent: float, hours: float, reserve: int = 0) -> Verdict:
    """Tell of the looks at one file system, oldest first, whether it is full, or will be within `hours`.

    `reserve`: the bytes that carbon leaves free. At twice as many it is time to say so.
    """
    latest = seen[-1]
    check, remedy = f"disk {latest.path}", _REMEDY.format(path=latest.path)
    used = 100 - 100 * latest.free / latest.total if latest.total else 0.0
    level = f"{used:.0f} % of {shown(latest.total)} used"
    if latest.free < reserve:
        what = f"{latest.path} has {shown(latest.free)} left: carbon accepts no points with less than {shown(reserve)}"
        return Verdict(check, State.FAIL, what, f"{remedy} Then carbon goes on by itself. {_RESERVE_REMEDY}")
    if used >= full_percent:
        return Verdict(check, State.FAIL, f"{latest.path} is full: {level}", remedy)
    if latest.free < 2 * reserve:
        what = f"{latest.path} has {shown(latest.free)} left; with {shown(reserve)} carbon takes no more points"
        return Verdict(check, State.FAIL, what, remedy)
    if latest.files and 100 - 100 * latest.files_free / latest.files >= full_percent:
        return Verdict(check, State.FAIL, f"{latest.path} has {latest.files_free:,} inodes left for files", remedy)
    left = seconds_until_full(seen)
    if left is not None and left < hours * 3600:
        return Verdict(check, State.WARN, f"{latest.path} will be full in {duration(left)}: {level}", remedy)
    return Verdict(check, State.OK, f"{latest.path}: {level}")


def thinned(seen: list[Space]) -> list[Space]:
    """Forget what is older than the history, and all but one look of each sample's time, but keep the newest."""
    latest = seen[-1]
    kept: list[Space] = []
    for space in seen[:-1]:
        if space.when > latest.when - HISTORY_SECONDS and (not kept or space.when >= kept[-1].when + SAMPLE_SECONDS):
            kept.append(space)
    return [*kept, latest]
