"""The state file: what a stopping daemon hands to its successor, as JSON.

It is written at once or not at all, and gone once it has been read. It does not outlive a crash:
it is written on a clean stop only.
"""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from graphing.core.atomic import replacing
from graphing.core.line import is_legal_series
from graphing.statsd.model.reference import Interval

_VERSION = 1
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class SavedState:
    """A stopped aggregator."""

    interval_end: int
    """When the interval in progress would have ended, in seconds since 1970."""
    seconds: int
    """Length of that interval."""
    interval: Interval
    counted: dict[str, int] = field(default_factory=dict)
    """Own metrics of the interval, see `health.Counted`."""
    kernel_drops: int = 0
    """What the kernel's counter of dropped datagrams showed last."""
    lines: list[str] = field(default_factory=list)
    """Lines of earlier intervals that carbon may not have, oldest first."""
    key: str = field(default_factory=lambda: os.urandom(8).hex())
    """Tells whether a log of datagrams goes on from this state or is older, see `succession`."""


def save(path: Path, state: SavedState) -> None:
    """Write the state so that `path` holds all of it or what was there before. Raises OSError."""
    document = {"version": _VERSION, **asdict(state)}
    document["interval"]["sets"] = {bucket: sorted(items) for bucket, items in state.interval.sets.items()}
    with replacing(path, mode=0o600, durable=True) as file:
        json.dump(document, file)


def load(path: Path) -> SavedState | None:
    """Return the saved state, or None if there is none. Sets a file it can't use aside as `.corrupt`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.error("%s can't be read (%s): starting without it", path, error.strerror)
        return None
    try:
        return _state(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        aside = path.with_name(f"{path.name}.corrupt")
        _log.error("%s is corrupt (%r): set aside as %s, starting without it", path, error, aside)
        _set_aside(path, aside)
        return None


def _set_aside(path: Path, aside: Path) -> None:
    try:
        path.replace(aside)
    except OSError as error:
        _log.error("%s can't be renamed: %s", path, error.strerror)


def _state(document: dict[str, Any]) -> SavedState:
    if document["version"] != _VERSION:
        raise ValueError(f"version {document['version']}")
    interval = document["interval"]
    return SavedState(
        interval_end=_whole(document["interval_end"]),
        seconds=_positive(document["seconds"]),
        interval=Interval(
            counters=_buckets(interval["counters"], _number),
            timers=_buckets(interval["timers"], _numbers),
            unsent=_buckets(interval["unsent"], _number),
            gauges=_buckets(interval["gauges"], _number),
            sets=_buckets(interval["sets"], lambda items: set(map(_text, items))),
            values=_buckets(interval.get("values", {}), _dated),
            dated=_buckets(interval.get("dated", {}), _dated),
        ),
        counted={_text(name): _whole(value) for name, value in document["counted"].items()},
        kernel_drops=_whole(document["kernel_drops"]),
        lines=[_line(line) for line in document["lines"]],
        key=_text(document.get("key", "")),
    )


def _buckets(found: dict[str, Any], read: Callable[[Any], Any]) -> dict[str, Any]:
    for bucket in found:
        if not is_legal_series(bucket):
            raise ValueError(f"bad bucket {bucket!r}")
    return {bucket: read(value) for bucket, value in found.items()}


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"not a number: {value!r}")
    return float(value)


def _numbers(values: object) -> list[float]:
    if not isinstance(values, list):
        raise TypeError(f"not a list: {values!r}")
    return [_number(value) for value in values]


def _dated(values: object) -> list[tuple[float, int]]:
    if not isinstance(values, list):
        raise TypeError(f"not a list: {values!r}")
    return [(_number(value), _whole(stamp)) for value, stamp in values]


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"not a whole number: {value!r}")
    return value


def _positive(value: object) -> int:
    if _whole(value) < 1:
        raise ValueError(f"not above 0: {value!r}")
    return _whole(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a string: {value!r}")
    return value


def _line(value: object) -> str:
    line = _text(value)
    if not line.endswith("\n") or line.count("\n") > 1 or not line.isascii():
        raise ValueError(f"not a line: {line!r}")
    return line
