"""The log of the busiest names, as etsy/statsd's keyFlush writes it: how often lines came in for each.

Counts lines as they were received, bad ones too: it is there to find out who sends so much. Names come
from outside: here they get etsy's legal form, so that nothing else reaches a log or a file.
"""

import logging
import math
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice

from graphing.core.log import RateLimitedLog
from graphing.statsd import settings

_NAMES = 100_000
"""Distinct names of a period; lines of further ones are counted together."""
_LONGEST_NAME = 255
_BATCH = 256 * 1024
"""Bytes that are counted at once."""
_LINES_PER_TURN = 500

_OTHERS = "(others)"
"""No name has brackets."""

_LEGAL = re.compile(rb"[a-zA-Z_\-0-9.;=]+").fullmatch
_WHITESPACE = re.compile(rb"\s+")
_FORBIDDEN = re.compile(rb"[^a-zA-Z_\-0-9.;=]+")

_log = logging.getLogger(__name__)


class KeyFlush:
    """Counts names for a period, then reports them over the next turns."""

    def __init__(self, settings: settings.KeyFlushSection, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._due = clock() + settings.interval
        self._batch: list[bytes] = []
        self._batch_size = 0
        self._counts: dict[bytes, int] = {}
        self._others = 0
        self._report: Iterator[str] = iter(())
        self._is_reporting = False
        self._complain = RateLimitedLog(_log, logging.ERROR, 60.0, clock)

    def count(self, blob: bytes | memoryview) -> None:
        """Count the lines in `blob`. The hot path: it only keeps them, a batch at once is much cheaper to count."""
        if not self._settings.interval:
            return
        self._batch.append(bytes(blob))
        self._batch_size += len(blob)
        if self._batch_size >= _BATCH:
            self._count_batch()

    def turn(self) -> None:
        """Count what waits; when it is time, write a part of the report."""
        if not self._settings.interval:
            return
        if self._batch:
            self._count_batch()
        if self._is_reporting:
            self._write_some()
        elif self._clock() >= self._due:
            self._begin_report()
            self._write_some()

    def _count_batch(self) -> None:
        lines = b"\n".join(self._batch).split(b"\n")
        self._batch.clear()
        self._batch_size = 0
        names = Counter([line.partition(b":")[0] for line in lines])
        counts = self._counts
        for name, number in names.items():
            if name in counts:
                counts[name] += number
            elif clean := _clean(name):
                self._add(clean, number)

    def _add(self, name: bytes, number: int) -> None:
        if name in self._counts or len(self._counts) < _NAMES:
            self._counts[name] = self._counts.get(name, 0) + number
        else:
            self._others += number

    def _begin_report(self) -> None:
        # A daemon that was suspended has nothing to catch up with.
        self._due = max(self._due, self._clock() - self._settings.interval) + self._settings.interval
        # To the second, in the words of JavaScript's Date.
        stamp = time.strftime("%a %b %d %Y %H:%M:%S GMT%z (%Z) ") if self._settings.file else ""
        self._report = _report(self._counts, self._others, self._settings.percent, stamp)
        self._is_reporting = True
        self._counts = {}
        self._others = 0

    def _write_some(self) -> None:
        lines = list(islice(self._report, _LINES_PER_TURN))
        self._is_reporting = len(lines) == _LINES_PER_TURN
        if not lines:
            return
        if not self._settings.file:
            _log.info("%s", "\n".join(lines))
            return
        try:
            # Opened anew each time, so that the file may be rotated.
            with open(self._settings.file, "ab", opener=_open) as file:
                file.write("".join(f"{line}\n" for line in lines).encode("ascii", "replace"))
        except OSError as error:
            self._is_reporting = False
            self._complain("%s can't be written: %s", self._settings.file, error.strerror)


def _open(path: str, flags: int) -> int:
    # A FIFO that nobody reads would be waited for.
    return os.open(path, flags | os.O_NONBLOCK, 0o640)


def _clean(raw: bytes) -> bytes:
    """Return the name as etsy's console shows it, without the tags of InfluxDB."""
    name = raw.partition(b",")[0][:_LONGEST_NAME]
    if _LEGAL(name):
        return name
    return _FORBIDDEN.sub(b"", _WHITESPACE.sub(b"_", name).replace(b"/", b"-"))


def _report(counts: dict[bytes, int], others: int, percent: float, stamp: str) -> Iterator[str]:
    shown = math.ceil(len(counts) * percent / 100)
    for name, number in islice(sorted(counts.items(), key=lambda item: -item[1]), shown):
        yield f"{stamp}count={number} key={name.decode('ascii')}"
    if others:
        yield f"{stamp}count={others} key={_OTHERS}"
