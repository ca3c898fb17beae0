"""Which lines are sent next: the decision without the bytes, see `shelf`."""

import itertools
from collections import deque
from typing import NamedTuple

from graphing.durable.span import Position, Span, merged, without

_HISTORY_SECONDS = 10
"""Precision with which it is remembered when something was sent."""


class Pace:
    """Allows at most `rate` lines a second after the first chunk: each is followed by the wait that it is worth."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = -float("inf")

    def wait(self, now: float) -> float:
        """Return for how many seconds nothing may be sent."""
        return max(0.0, self._free_at - now)

    def spend(self, lines: int, now: float) -> None:
        """Note that `lines` were sent, after the wait."""
        self._free_at = now + lines / self._rate


class _Flight(NamedTuple):
    """Lines that were handed to the kernel: which, when, and all bytes of the connection up to their end."""

    span: Span
    again: bool
    when: float
    total: int


class Next(NamedTuple):
    """What to send: from where to where; whether it is fresh, or was delivered before."""

    span: Span
    fresh: bool
    again: bool


class Delivery:
    """Which lines are to be sent, which are under way, and which were sent when. No bytes, no clock, no thread."""

    def __init__(self, end: Position, waiting: Span, again: Span, history_seconds: float) -> None:
        """Begin with what an earlier process left; remember for `history_seconds` what is sent."""
        self.end = end
        """Of the last complete flush."""
        self.history_seconds = history_seconds
        self._fresh: list[Span] = []
        self._waiting = merged([waiting])
        self._again = without([again], [waiting])
        self._flying: deque[_Flight] = deque()
        self._history: dict[int, list[Span]] = {}

    def lines(self) -> int:
        """Return how many lines wait that are neither delivered nor under way."""
        return sum(span.lines for span in self._undelivered())

    def commit(self, end: Position, *, connected: bool) -> None:
        """Note that the flush up to `end` is complete; only the newest is fresh for a carbon that is away."""
        if not connected:
            self._waiting = merged(self._undelivered())
            self._fresh = []
        self._fresh = merged([*self._fresh, Span(self.end, end)])
        self.end = end

    def next(self) -> Next | None:
        """Return what to send from its start: any part of it."""
        for spans in (self._fresh, self._waiting, self._again):
            if spans:
                return Next(spans[0], fresh=spans is self._fresh, again=spans is self._again)
        return None

    def has_fresh(self) -> bool:
        """Tell whether there is anything that must not wait."""
        return bool(self._fresh)

    def sent(self, span: Span, *, again: bool, total: int, now: float, wall: float) -> int:
        """Note what was handed to the kernel; return how many of its lines had been waiting.

        `total` is the bytes of the connection so far, `now` a monotonic clock, `wall` the clock on the wall.
        """
        self._flying.append(_Flight(span, again, now, total))
        bucket = int(wall // _HISTORY_SECONDS)
        self._history[bucket] = merged([*self._history.get(bucket, ()), span])
        for old in [key for key in self._history if (key + 1) * _HISTORY_SECONDS < wall - self.history_seconds]:
            del self._history[old]
        return self.remove(span)

    def confirm(self, acknowledged: int, until: float) -> bool:
        """Count as delivered what was sent before `until` and lies in the `acknowledged` bytes; tell if any was."""
        before = len(self._flying)
        while self._flying and self._flying[0].when <= until and self._flying[0].total <= acknowledged:
            self._flying.popleft()
        return len(self._flying) < before

    def broken(self) -> int:
        """Let what was under way wait again; return how many lines of it count as undelivered."""
        before = self.lines()
        back = [flight.span for flight in self._flying if not flight.again]
        self._waiting = without([*self._waiting, *back], self._fresh)
        self._again = without([*self._again, *(flight.span for flight in self._flying)], self._undelivered())
        self._flying.clear()
        return self.lines() - before

    def send_again(self, since: float, position: Position) -> None:
        """Let wait once more what was sent after `since` (seconds since 1970), and all from `position` on."""
        sent = [spans for bucket, spans in self._history.items() if (bucket + 1) * _HISTORY_SECONDS > since]
        spans = [Span(position, self.end), *itertools.chain.from_iterable(sent)]
        self._again = without([*self._again, *spans], self._undelivered())

    def remove(self, span: Span) -> int:
        """Forget a span that need not wait, or can't be read, any more; return how many of its lines waited."""
        before = self.lines()
        self._fresh, self._waiting, self._again = (
            without(spans, [span]) for spans in (self._fresh, self._waiting, self._again)
        )
        return before - self.lines()

    def waits_from(self) -> Position:
        """Return up to where nothing waits."""
        return min((span.start for span in self._undelivered()), default=self.end)

    def delivered(self) -> Position:
        """Return up to where everything is delivered."""
        return min([self.waits_from(), *(flight.span.start for flight in self._flying if not flight.again)])

    def doubtful(self) -> Position:
        """Return up to where nothing of the delivered has to be sent again."""
        again = [*self._again, *(flight.span for flight in self._flying if flight.again)]
        return min([self.delivered(), *(span.start for span in again)])

    def needed(self) -> list[Span]:
        """Return what is not delivered of the complete flushes, as few spans."""
        return merged([*self._undelivered(), *(flight.span for flight in self._flying if not flight.again)])

    def _undelivered(self) -> list[Span]:
        return [*self._waiting, *self._fresh]
