"""A line as carbon gets it: read, or refused with why.

Pure functions; what carbon itself would store under another name, or nobody could ask for, is refused here.
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

UNFIT = re.compile(r"""[^!-~]|[/*?\[\]{}(),'"|\\<>]""").search
"""Finds what no name can hold: a slash cannot be in that of a file, the others mean something in a target of
graphite-web, whose grammar has ASCII alone, or are taken for HTML by its pages."""

LONGEST_LINE = 16384

LONGEST_PART = 251
"""Bytes of a part of a name: with .wsp it is the name of a file."""


class Refused(ValueError):  # noqa: N818 - what became of a line
    """A line that is not taken: `kind` is how it is counted, str() is why."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


class Point(NamedTuple):
    """A line: the series' name, seconds since 1970 and the value."""

    metric: str
    timestamp: float
    value: float


def parse(line: bytes) -> Point:
    """Read `NAME VALUE TIMESTAMP`; of the name, all is checked but its tags. Raises Refused."""
    if len(line) > LONGEST_LINE:
        raise Refused("malformed", f"longer than {LONGEST_LINE} bytes")
    try:
        metric, value, timestamp = line.decode("utf-8").split()
        point = Point(metric, float(timestamp), float(value))
    except UnicodeDecodeError:
        raise Refused("malformed", "not UTF-8") from None
    except ValueError:
        raise Refused("malformed", "not NAME VALUE TIMESTAMP") from None
    if not math.isfinite(point.value) or not math.isfinite(point.timestamp):
        raise Refused("malformed", "not a finite number")
    if not metric.isprintable():
        raise Refused("malformed", "a name with characters that cannot be shown")
    check_name(metric.split(";")[0])
    return point


def check_name(name: str) -> None:
    """Refuse a name, without its tags, under which its series could not be stored or not be found."""
    unfit = UNFIT(name)
    if unfit:
        raise Refused("malformed", f"{unfit[0]} in a name, by which graphite-web could not find it")
    if name.startswith("~"):
        raise Refused("malformed", "a name that begins with ~, which carbon would leave out")
    if any(not 1 <= len(part) <= LONGEST_PART for part in name.split(".")):
        raise Refused("malformed", f"a part of the name is empty or longer than {LONGEST_PART} bytes")


def refuse_tags(metric: str) -> None:
    """Refuse tags where they are off: carbon would store the series under a hash, of which nothing keeps the name."""
    if ";" in metric:
        raise Refused("tagged", "tags are off: set carbon_tags: true, or send the name without them")


def tags_by(read: Callable[[str], Any]) -> Callable[[str], None]:
    """Return a check that refuses tags which carbon's own reader would not take, or would make another name of."""

    def check(metric: str) -> None:
        if ";" not in metric:
            return
        try:
            stored = read(metric).path
        except Exception as error:  # Exception itself is what carbon raises
            raise Refused("malformed", f"tags that carbon does not take: {error}") from None
        if set(stored.split(";")) != set(metric.split(";")):
            raise Refused("malformed", f"tags of which carbon would make {stored}")

    return check


def check_time(timestamp: float, now: float, future_seconds: float, longest_seconds: float) -> None:
    """Refuse a point from the future, which would take the place of a live one, or from before all retentions."""
    if timestamp > now + future_seconds:
        raise Refused("future", f"dated {timestamp - now:.0f} s ahead")
    if timestamp <= now - longest_seconds and timestamp != -1:
        # -1 stands for now.
        raise Refused("old", f"dated {now - timestamp:.0f} s back, longer than anything is kept")


def longest_retention(schemas: list[Any]) -> float:
    """Return for how many seconds the longest retention keeps points."""
    return float(max(archive.secondsPerPoint * archive.points for schema in schemas for archive in schema.archives))
