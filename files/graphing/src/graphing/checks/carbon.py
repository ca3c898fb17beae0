"""Whether the carbon-caches keep up: points that wait in memory, points and new series that were thrown away.

Carbon counts them itself, as `carbon.agents.HOST-INSTANCE.*`; they are read from its memory and its files,
not by the web application, so that they are known while that is down.
"""

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from graphing.checks import refused
from graphing.checks.refused import Slot
from graphing.checks.units import shown
from graphing.checks.verdict import State, Verdict
from graphing.whisperfile.slots import NotWhisper, file_of, newest

WINDOW = 300.0
"""Seconds that are looked at."""
_RECENT = 150.0
"""What was thrown away longer ago than this is over."""
_GROWING_POINTS = 8
_GROWING_BY = 10_000
_FULL_SHARE = 0.5
_WAITING_POINTS = 2
_CREATES_REMEDY = (
    "More new series came than carbon_creates_per_minute allows. Raise it, or find the client that sends so many new "
    "names."
)
ROOM_REMEDY = "Free space on carbon's disk (the check disk says where); carbon then continues by itself."
_REFUSED_REMEDY = (
    "correct the sender of malformed lines; for tagged ones set carbon_tags: true; set the clock of senders that date "
    "ahead; old ones are beyond the retention."
)

REFUSED = ("malformed", "tagged", "future", "old")
"""Why a guarded cache refuses a line."""

_FIELDS = {
    "sizes": "cache.size",
    "overflows": "cache.overflow",
    "dropped_creates": "droppedCreates",
    "waiting_creates": "creates.waiting",
    "doors": "door.open",
    "received": "metricsReceived",
    **{why: f"refused.{why}.count" for why in REFUSED},
}
"""The names of carbon's counters, behind those of what they become here."""
_DOOR_SECONDS = 60.0
"""What a cache said of its door longer ago is no news."""


@dataclass(frozen=True)
class CacheCounts:
    """What a cache has counted of late: {time: number} for each."""

    instance: str
    sizes: Mapping[float, float] = field(default_factory=dict)
    """Points in memory."""
    overflows: Mapping[float, float] = field(default_factory=dict)
    dropped_creates: Mapping[float, float] = field(default_factory=dict)
    waiting_creates: Mapping[float, float] = field(default_factory=dict)
    """New series that wait in memory for their file; only a guarded cache has some, and tells."""
    doors: Mapping[float, float] = field(default_factory=dict)
    """1 while it takes points, 0 while its disk can take no more; told by a guarded cache alone."""
    received: Mapping[float, float] = field(default_factory=dict)
    """Points that it took."""
    refused: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    """Lines that a guarded cache refused, by why."""


def series(instance: str) -> list[str]:
    """Return the names of a cache's own counters, as carbon and its guard make them."""
    host = socket.gethostname().replace(".", "_")
    return [f"carbon.agents.{host}-{instance}.{leaf}" for leaf in _FIELDS.values()]


def measure(instance: str, whisper: Path, cached: Mapping[str, Mapping[float, float]], now: float) -> CacheCounts:
    """Read a cache's counters: `cached` is what it has in memory."""
    found: dict[str, dict[float, float]] = {}
    for key, name in zip(_FIELDS, series(instance), strict=True):
        points: dict[float, float] = {}
        # A new server has none yet. Why a file can't be read is the canary's to tell.
        with contextlib.suppress(OSError, NotWhisper):
            points |= newest(file_of(whisper, name), now - WINDOW, now)
        points.update({stamp: value for stamp, value in cached.get(name, {}).items() if stamp > now - WINDOW})
        found[key] = points
    refused_by = {why: found.pop(why) for why in REFUSED}
    return CacheCounts(instance, refused=refused_by, **found)


def shut(counts: CacheCounts, free: int, reserve: int, now: float) -> str:
    """Return why a cache takes no points, empty as long as it does; `free` and `reserve` are bytes of its disk."""
    if free < reserve:
        return f"its disk has {shown(free)} left, and carbon keeps {shown(reserve)} in reserve (carbon_disk_reserve)"
    latest = max(counts.doors, default=0.0)
    if latest > now - _DOOR_SECONDS and not counts.doors[latest]:
        return "it has closed its port for lines, because its disk is full, read-only or refuses to write"
    return ""


def judge_size(counts: CacheCounts, limit: int, closed: str = "") -> Verdict:
    """Tell whether a cache takes points, and writes as fast as it gets them.

    `limit` is the most points that it may hold, `closed` why it takes none.
    """
    check = f"cache {counts.instance}"
    if closed:
        what = f"carbon-cache@{counts.instance} accepts no points: {closed}"
        return Verdict(check, State.FAIL, what, ROOM_REMEDY)
    if not counts.sizes:
        return Verdict(check, State.UNKNOWN, f"carbon-cache@{counts.instance} has reported no metrics lately")
    latest = max(counts.sizes)
    overflow = sum(value for stamp, value in counts.overflows.items() if stamp > latest - _RECENT)
    size = counts.sizes[latest]
    remedy = (
        "The disk is slower than what comes in: look at `iostat -x 5`, raise carbon_updates_per_second, or use a "
        "faster disk. More memory for the cache (carbon_cache_points) only buys time."
    )
    if overflow:
        what = f"carbon-cache@{counts.instance} is full and has dropped points"
        return Verdict(check, State.FAIL, what, remedy)
    if size > limit * _FULL_SHARE:
        what = f"carbon-cache@{counts.instance} holds {size:,.0f} points in memory and may hold {limit:,}"
        return Verdict(check, State.FAIL, what, remedy)
    grown = _growth(counts.sizes)
    if grown >= _GROWING_BY:
        unit = f"carbon-cache@{counts.instance}"
        what = f"{unit} holds a growing number of points in memory: {size:,.0f}, {grown:,.0f} more"
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


def judge_creates(counts: CacheCounts) -> Verdict:
    """Tell whether new series were refused, or wait for their files."""
    check = f"creates {counts.instance}"
    if not counts.dropped_creates:
        return Verdict(check, State.UNKNOWN, f"carbon-cache@{counts.instance} has reported no metrics lately")
    latest = max(counts.dropped_creates)
    dropped = sum(value for stamp, value in counts.dropped_creates.items() if stamp > latest - _RECENT)
    if dropped:
        return Verdict(
            check,
            State.FAIL,
            f"carbon-cache@{counts.instance} has dropped {dropped:,.0f} points of new series in {_RECENT:.0f} s",
            _CREATES_REMEDY,
        )
    waiting = [counts.waiting_creates[stamp] for stamp in sorted(counts.waiting_creates)][-_WAITING_POINTS:]
    if len(waiting) == _WAITING_POINTS and all(waiting):
        what = f"{waiting[-1]:,.0f} new series wait in the memory of carbon-cache@{counts.instance} for their files"
        return Verdict(check, State.WARN, what, _CREATES_REMEDY)
    return Verdict(check, State.OK, f"carbon-cache@{counts.instance} creates every new series")


def judge_refused(counts: CacheCounts) -> Verdict:
    """Tell whether a guarded cache refuses lines, steadily or many of them."""
    check, unit = f"refused {counts.instance}", f"carbon-cache@{counts.instance}"
    latest = max((stamp for by in counts.refused.values() for stamp in by), default=0.0)
    if not latest:
        return Verdict(check, State.UNKNOWN, f"{unit} has not reported lately which lines it refuses")
    by_reason = {why: _by_slot(by, latest) for why, by in counts.refused.items()}
    lines = [sum(column) for column in zip(*by_reason.values(), strict=True)]
    taken = _by_slot(counts.received, latest)
    slots = [Slot(int(came + bad), int(bad)) for came, bad in zip(taken, lines, strict=True)]
    came, bad = refused.totals(slots)
    if not bad:
        return Verdict(check, State.OK, f"{unit} refuses no lines")
    why = ", ".join(f"{sum(column):,.0f} {why}" for why, column in by_reason.items() if any(column))
    what = f"{unit} has refused {bad:,} of {came:,} lines in {refused.SLOTS * refused.SLOT_SECONDS:.0f} s: {why}"
    # When it starts, collectd sends nan once for each of its rates.
    if not refused.is_worth_saying(slots, at_once=False):
        return Verdict(check, State.OK, what)
    remedy = f"`journalctl -u {unit} -g refused` shows some of them with their senders: {_REFUSED_REMEDY}"
    return Verdict(check, State.WARN, what, remedy)


def _by_slot(counted: Mapping[float, float], latest: float) -> list[float]:
    """Add counts up by slot, the newest slot first."""
    slots = [0.0] * refused.SLOTS
    for stamp, number in counted.items():
        slot = int((latest - stamp) // refused.SLOT_SECONDS)
        if 0 <= slot < refused.SLOTS:
            slots[slot] += number
    return slots
