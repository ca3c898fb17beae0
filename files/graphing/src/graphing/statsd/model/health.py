"""What the aggregator tells about itself, as metrics next to those of its clients.

Names end in `.count` exactly when they count events of the interval (`Counted`), so that carbon's
roll-ups sum those and average the rest (`Levels`). No name holds a metric type.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from resource import getpagesize

from graphing.statsd.model.naming import Naming


@dataclass(slots=True)
class Counted:
    """Events of one interval.

    `metrics + bad_lines + type_conflicts + refused` is the number of values received; a bad line counts as one.
    """

    packets: int = 0
    metrics: int = 0
    """Values that were aggregated."""
    bad_lines: int = 0
    """Lines that are not StatsD."""
    type_conflicts: int = 0
    """Values whose bucket can't be of their kind."""
    refused: int = 0
    """Values beyond `max_buckets` or `max_values`, or dated in the future."""
    kernel_drops: int = 0
    lines_sent: int = 0
    """Includes lines sent again after a broken connection."""
    lines_replayed: int = 0
    """Sent again, because carbon may have lost them."""
    lines_dropped: int = 0
    """Never sent: they became too old or too many."""
    lines_not_finite: int = 0
    """Not made, because sums of huge values have no finite result."""
    resumed: int = 0
    """Datagrams taken from the log that a crashed process left."""


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
    journal_bytes: int
    """Lines on disk, sent or not."""


def health(naming: Naming, seconds: int, counted: Counted, levels: Levels) -> Iterator[tuple[str, float, int]]:
    """Yield own metrics of an interval of `seconds` as `measurements` does: name, number and 0, the flush's time."""
    for group, counts in ((counted, True), (levels, False)):
        for item in fields(group):
            for name, number in naming.health(_path(item.name), getattr(group, item.name), counts, seconds):
                yield name, number, 0


def _path(name: str) -> str:
    """Return the path of a field: `lines_sent` is `lines.sent`."""
    for folder in ("lines", "flush", "memory", "journal"):
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
