"""A flush's numbers to carbon's lines, a slice at a time, so that the server can receive in between. Pure."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from graphing.core.line import format_line
from graphing.statsd.model.naming import Naming
from graphing.statsd.model.numbers import measurements
from graphing.statsd.model.reference import Interval
from graphing.statsd.model.timers import HistogramBins

_LINES_PER_BUCKET = 3
"""Roughly, to cut slices of lines where slices of buckets are asked for."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a flush goes by."""

    naming: Naming
    percentiles: Sequence[float]
    histograms: Sequence[HistogramBins]
    seconds: int
    """Length of the interval."""
    stamp: int
    """Its end in seconds since 1970: the time of its lines."""


class Slice(NamedTuple):
    """Some lines of a flush, and what was left out of it."""

    lines: bytes
    line_count: int
    not_finite: int
    """Numbers that have no finite value."""
    refused: int
    """Values that clients dated later than this interval and the next: they would take a live slot's place."""


class Flush(Protocol):
    """A flush in progress."""

    buckets: int
    """How many buckets it has written so far."""

    def slice(self, most: int) -> Slice | None:
        """Return the lines of about the next `most` buckets, None at the end."""


class IntervalFlush:
    """The flush of an `Interval`."""

    def __init__(self, interval: Interval, form: Form) -> None:
        self.buckets = len(interval)
        self._form = form
        self._left = measurements(interval, form.naming, form.percentiles, form.seconds, form.histograms)

    def slice(self, most: int) -> Slice | None:
        """Return the lines of about the next `most` buckets, None at the end."""
        return _slice(self._left, most * _LINES_PER_BUCKET, self._form)


def lines(numbers: Iterable[tuple[str, float, int]], form: Form) -> Slice:
    """Return the lines of (name, number, stamp or 0) triples."""
    made = []
    not_finite = refused = 0
    for name, number, stamp in numbers:
        if stamp > form.stamp + form.seconds:
            refused += 1
        elif math.isfinite(number):
            made.append(format_line(name, number, stamp or form.stamp))
        else:
            not_finite += 1
    return Slice("".join(made).encode("ascii"), len(made), not_finite, refused)


def _slice(left: Iterator[tuple[str, float, int]], most: int, form: Form) -> Slice | None:
    numbers = list(itertools.islice(left, most))
    return lines(numbers, form) if numbers else None
