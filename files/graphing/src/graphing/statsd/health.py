"""What the aggregator tells about itself, as metrics next to those of its clients.

Names end in `.count` exactly when they count events of the interval (`Counted`), so that carbon's
roll-ups sum those and average the rest (`Levels`). No name holds a metric type.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from resource import getpagesize

from graphing.statsd.naming import Naming


@dataclass(slots=True)
class Counted:
    """Events of one interval."""

    packets: int = 0
    metrics: int = 0
    bad_lines: int = 0
    type_conflicts: int = 0
    kernel_drops: int = 0
    lines_sent: int = 0
    """Includes lines sent again after a broken connection."""
    lines_dropped: int = 0
    """Left the queue because it was full."""
    lines_not_finite: int = 0
    """Not made, because sums of huge values have no finite result."""


@dataclass(frozen=True, slots=True)
class Levels:
    """How things stand at a flush."""

    buckets: int
    lag: float
    """Seconds between the end of the interval and its flush."""
    flush_duration: float
    """Seconds that the previous flush took, receptions in between included."""
    memory_rss: int
    """Bytes."""
    lines_queued: int


def health(naming: Naming, seconds: int, counted: Counted, levels: Levels) -> Iterator[tuple[str, float]]:
    """Yield (name, number) of every own metric for an interval of `seconds`."""
    for group, counts in ((counted, True), (levels, False)):
        for item in fields(group):
            yield from naming.health(_path(item.name), getattr(group, item.name), counts, seconds)


def _path(name: str) -> str:
    """Return the path of a field: `lines_sent` is `lines.sent`."""
    for folder in ("lines", "flush", "memory"):
        if name.startswith(f"{folder}_"):
            return f"{folder}.{name.removeprefix(f'{folder}_')}"
    return name


def resident_bytes() -> int:
    """Return the memory that this process holds now."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * getpagesize()
