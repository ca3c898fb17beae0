"""The flush in progress, and the flushes that are not yet safe on a disk."""

import time
from dataclasses import asdict

from graphing.statsd.model.health import Counted, Levels, health, resident_bytes
from graphing.statsd.model.lines import Flush, Form, lines
from graphing.statsd.outward.sender import Sender

_BUCKETS_PER_TURN = 200


class Flusher:
    """Hands the lines of one interval after the other to the sender, a slice at each turn."""

    def __init__(self, sender: Sender) -> None:
        self.duration = 0.0
        """Seconds that the last flush took, receptions in between included."""
        self.last_flush = 0
        """The time of the last complete flush, in seconds since 1970."""
        self._sender = sender
        self._flush: Flush | None = None
        self._form: Form | None = None
        self._counted = Counted()
        self._began = 0.0
        self._lag = 0.0

    @property
    def busy(self) -> bool:
        """Whether a flush is in progress."""
        return self._flush is not None

    @property
    def running(self) -> float:
        """Seconds since the last flush began."""
        return time.monotonic() - self._began

    def begin(self, flush: Flush, form: Form, counted: Counted) -> None:
        """Start a flush; `counted` are the own counts of its interval."""
        self._flush, self._form = flush, form
        self._counted = Counted(**asdict(counted))
        self._began = time.monotonic()
        self._lag = max(0.0, time.time() - form.stamp)

    def turn(self) -> None:
        """Hand over a slice."""
        if self._flush is None or self._form is None:
            return
        found = self._flush.slice(_BUCKETS_PER_TURN)
        if found is not None:
            self._counted.lines_not_finite += found.not_finite
            self._counted.refused += found.refused
            # A dated value was counted as aggregated when it came.
            self._counted.metrics -= found.refused
            if found.line_count:
                self._sender.put(found.lines, found.line_count, self._form.stamp)
            return
        self.duration = time.monotonic() - self._began
        self._put_health(self._flush.buckets, self._form)
        self.last_flush = self._form.stamp
        self._flush = None
        self._sender.commit()

    def finish(self) -> None:
        """Hand over all that is left."""
        while self.busy:
            self.turn()

    def _put_health(self, buckets: int, form: Form) -> None:
        levels = Levels(
            buckets=buckets,
            lag=round(self._lag, 6),
            flush_duration=round(self.duration, 6),
            memory_rss=resident_bytes(),
            lines_queued=self._sender.queued(),
            journal_bytes=self._sender.journal_bytes(),
        )
        own = lines(health(form.naming, form.seconds, self._counted, levels), form)
        self._sender.put(own.lines, own.line_count, form.stamp)
