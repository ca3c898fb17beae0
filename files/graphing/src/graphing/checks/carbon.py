"""Whether the carbon-caches keep up: points that wait in memory, points and new series that were thrown away.

Carbon counts them itself, as `carbon.agents.HOST-INSTANCE.*`; they are read from its memory and its files,
not by the web application, so that they are known while that is down.
"""

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from graphing.checks.slots import NotWhisper, file_of, newest
from graphing.checks.verdict import State, Verdict

WINDOW = 300.0
"""Seconds that are looked at."""
_RECENT = 150.0
"""What was thrown away longer ago than this is over."""
_GROWING_POINTS = 8
_GROWING_BY = 10_000
_FULL_SHARE = 0.5
_WAITING_POINTS = 2
_CREATES_REMEDY = (
    "More new series came than carbon_creates_per_minute allows. Raise it, or find who makes so many names."
)

_LEAVES = ("cache.size", "cache.overflow", "droppedCreates", "creates.waiting")


@dataclass(frozen=True)
class Counts:
    """What a cache has counted of late: {time: number} for each."""

    instance: str
    sizes: Mapping[float, float] = field(default_factory=dict)
    """Points in memory."""
    overflows: Mapping[float, float] = field(default_factory=dict)
    dropped_creates: Mapping[float, float] = field(default_factory=dict)
    waiting_creates: Mapping[float, float] = field(default_factory=dict)
    """New series that wait in memory for their file; only a guarded cache has some, and tells."""


def series(instance: str) -> list[str]:
    """Return the names of a cache's own counters, as carbon and its guard make them, in the order of `Counts`."""
    host = socket.gethostname().replace(".", "_")
    return [f"carbon.agents.{host}-{instance}.{leaf}" for leaf in _LEAVES]


def measure(instance: str, whisper: Path, cached: Mapping[str, Mapping[float, float]], now: float) -> Counts:
    """Read a cache's counters: `cached` is what it has in memory."""
    found: list[dict[float, float]] = []
    for name in series(instance):
        points: dict[float, float] = {}
        # A new server has none yet. Why a file can't be read is the canary's to tell.
        with contextlib.suppress(OSError, NotWhisper):
            points |= newest(file_of(whisper, name), now - WINDOW, now)
        points.update({stamp: value for stamp, value in cached.get(name, {}).items() if stamp > now - WINDOW})
        found.append(points)
    return Counts(instance, *found)


def judge_size(counts: Counts, limit: int) -> Verdict:
    """Tell whether a cache writes as fast as it gets; `limit` is the most points that it may hold."""
    check = f"cache {counts.instance}"
    if not counts.sizes:
        return Verdict(check, State.UNKNOWN, f"carbon-cache@{counts.instance} has told nothing of itself lately")
    latest = max(counts.sizes)
    overflow = sum(value for stamp, value in counts.overflows.items() if stamp > latest - _RECENT)
    size = counts.sizes[latest]
    remedy = (
        "The disk is slower than what comes in: look at `iostat -x 5`, raise carbon_updates_per_second, or use a "
        "faster disk. More memory for the cache (carbon_cache_points) only buys time."
    )
    if overflow:
        what = f"carbon-cache@{counts.instance} is full and has thrown points away"
        return Verdict(check, State.FAIL, what, remedy)
    if size > limit * _FULL_SHARE:
        what = f"carbon-cache@{counts.instance} holds {size:,.0f} points in memory and may hold {limit:,}"
        return Verdict(check, State.FAIL, what, remedy)
    grown = _growth(counts.sizes)
    if grown >= _GROWING_BY:
        what = f"carbon-cache@{counts.instance} holds more and more points in memory: {size:,.0f}, {grown:,.0f} more"
        return Verdict(check, State.WARN, what, remedy)
    return Verdict(check, State.OK, f"carbon-cache@{counts.instance} holds {size:,.0f} points in memory of {limit:,}")


def _growth(sizes: Mapping[float, float]) -> float:
    """Return by how much the newest sizes have grown if each is larger than the second before it, otherwise 0.

    Not than the one before: where carbon counts at the moment of a flush, one may fall behind a count and the next
    one before it.
    """
    newest = [sizes[stamp] for stamp in sorted(sizes)][-_GROWING_POINTS:]
    if len(newest) < _GROWING_POINTS or any(a >= b for a, b in zip(newest, newest[2:], strict=False)):
        return 0.0
    return newest[-1] - newest[0]


def judge_creates(counts: Counts) -> Verdict:
    """Tell whether new series were refused, or wait for their files."""
    check = f"creates {counts.instance}"
    if not counts.dropped_creates:
        return Verdict(check, State.UNKNOWN, f"carbon-cache@{counts.instance} has told nothing of itself lately")
    latest = max(counts.dropped_creates)
    dropped = sum(value for stamp, value in counts.dropped_creates.items() if stamp > latest - _RECENT)
    if dropped:
        return Verdict(
            check,
            State.FAIL,
            f"carbon-cache@{counts.instance} has thrown away {dropped:,.0f} points of new series in {_RECENT:.0f} s",
            _CREATES_REMEDY,
        )
    waiting = [counts.waiting_creates[stamp] for stamp in sorted(counts.waiting_creates)][-_WAITING_POINTS:]
    if len(waiting) == _WAITING_POINTS and all(waiting):
        what = f"{waiting[-1]:,.0f} new series wait in the memory of carbon-cache@{counts.instance} for their files"
        return Verdict(check, State.WARN, what, _CREATES_REMEDY)
    return Verdict(check, State.OK, f"carbon-cache@{counts.instance} creates every new series")
