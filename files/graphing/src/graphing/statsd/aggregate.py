"""The aggregation engine: metrics in, the numbers of an interval out. Pure: no clock, no I/O.

Sits between `protocol` and `flush`. It knows nothing about names in Graphite, except which two
buckets can't exist side by side (see `Rules`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphing.statsd.protocol import BadLine, Kind, Metric, Refused, parse_line, read_number


@dataclass(slots=True)
class Interval:
    """What was received since the last flush, by bucket.

    A known bucket without a new value stays: a counter at 0, a timer or a set empty, a gauge with
    its last value.
    """

    counters: dict[str, float] = field(default_factory=dict)
    timers: dict[str, list[float]] = field(default_factory=dict)
    unsent: dict[str, float] = field(default_factory=dict)
    """Per timer: how many events its sampling clients measured and did not send (1/rate - 1 each)."""
    gauges: dict[str, float] = field(default_factory=dict)
    sets: dict[str, set[str]] = field(default_factory=dict)

    def of(self, kind: Kind) -> dict[str, Any]:
        """Return the buckets of one kind."""
        buckets: dict[str, Any] = getattr(self, kind)
        return buckets

    def kind_of(self, bucket: str) -> Kind | None:
        """Return the kind of a known bucket."""
        return next((kind for kind in Kind if bucket in self.of(kind)), None)

    def successor(self, forget: frozenset[Kind]) -> "Interval":
        """Return the interval that follows: the same buckets without values, except the kinds in `forget`."""
        return Interval(
            counters={} if Kind.COUNTER in forget else dict.fromkeys(self.counters, 0.0),
            timers={} if Kind.TIMER in forget else {bucket: [] for bucket in self.timers},
            gauges={} if Kind.GAUGE in forget else dict(self.gauges),
            sets={} if Kind.SET in forget else {bucket: set() for bucket in self.sets},
        )

    def __len__(self) -> int:
        return len(self.counters) + len(self.timers) + len(self.gauges) + len(self.sets)


_NOTHING: dict[Kind, Callable[[], Any]] = {
    Kind.COUNTER: float,
    Kind.TIMER: list,
    Kind.GAUGE: float,
    Kind.SET: set,
}


def _never(_interval: Interval, _bucket: str, _kind: Kind) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says about buckets."""

    forget: frozenset[Kind] = frozenset()
    """Kinds whose buckets are forgotten at every flush, so that idle ones send nothing."""
    conflict: Callable[[Interval, str, Kind], str | None] = _never
    """Asked about each new bucket: why it can't be made, or None."""


class Conflict(NamedTuple):
    """A metric that was refused because its bucket can't be of that kind."""

    bucket: str
    reason: str


@dataclass(slots=True)
class Fed:
    """What became of the lines of a datagram: how many metrics were added, and what was refused."""

    metrics: int = 0
    bad: list[BadLine] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)


class Engine:
    """Aggregates the interval in progress, `now`."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.now = Interval()

    def feed(self, datagram: str) -> Fed:
        """Add every good line of a decoded datagram.

        The same as `parse_line` and `add` for each line, but plain counters and timers take a short
        way: a bucket that is already known has a legal name, and nothing needs to be built.
        """
        fed = Fed()
        metrics = 0
        counters, timers = self.now.counters, self.now.timers
        for line in datagram.split("\n"):
            bucket, _, rest = line.partition(":")
            try:
                if rest == "1|c":
                    counters[bucket] += 1.0
                else:
                    value, _, kind = rest.partition("|")
                    if kind == "c":
                        counters[bucket] += read_number(value)
                    elif kind == "ms":
                        timers[bucket].append(read_number(value))
                    else:
                        self._feed_line(line, fed)
                        continue
                metrics += 1
            except (KeyError, Refused):
                self._feed_line(line, fed)
        fed.metrics += metrics
        return fed

    def _feed_line(self, line: str, fed: Fed) -> None:
        for item in parse_line(line):
            if isinstance(item, BadLine):
                fed.bad.append(item)
            elif conflict := self.add(item):
                fed.conflicts.append(conflict)
            else:
                fed.metrics += 1

    def add(self, metric: Metric) -> Conflict | None:
        """Add one metric; return why it was refused, if it was."""
        bucket, kind = metric.bucket, metric.kind
        conflict = self._admit(bucket, kind)
        if conflict:
            return conflict
        if kind is Kind.COUNTER:
            self.now.counters[bucket] += metric.value / metric.rate
        elif kind is Kind.TIMER:
            self.now.timers[bucket].append(metric.value)
            if metric.rate < 1:
                self.now.unsent[bucket] = self.now.unsent.get(bucket, 0.0) + (1 / metric.rate - 1)
        elif kind is Kind.GAUGE:
            self.now.gauges[bucket] = metric.value + (self.now.gauges[bucket] if metric.delta else 0.0)
        else:
            self.now.sets[bucket].add(metric.member)
        return None

    def take(self) -> Interval:
        """Return the interval in progress and begin the next one."""
        taken, self.now = self.now, self.now.successor(self._rules.forget)
        return taken

    def restore(self, saved: Interval) -> list[Conflict]:
        """Merge an interval that an earlier process saved; gauges set since then keep their value."""
        conflicts = []
        for kind in Kind:
            for bucket in saved.of(kind):
                known_gauge = bucket in self.now.gauges
                conflict = self._admit(bucket, kind)
                if conflict:
                    conflicts.append(conflict)
                elif kind is Kind.COUNTER:
                    self.now.counters[bucket] += saved.counters[bucket]
                elif kind is Kind.TIMER:
                    self._restore_timer(bucket, saved)
                elif kind is Kind.SET:
                    self.now.sets[bucket] |= saved.sets[bucket]
                elif not known_gauge:
                    self.now.gauges[bucket] = saved.gauges[bucket]
        return conflicts

    def _restore_timer(self, bucket: str, saved: Interval) -> None:
        self.now.timers[bucket] += saved.timers[bucket]
        if bucket in saved.unsent:
            self.now.unsent[bucket] = self.now.unsent.get(bucket, 0.0) + saved.unsent[bucket]

    def _admit(self, bucket: str, kind: Kind) -> Conflict | None:
        """Make the bucket if it is new and allowed."""
        buckets = self.now.of(kind)
        if bucket in buckets:
            return None
        reason = self._rules.conflict(self.now, bucket, kind)
        if reason:
            return Conflict(bucket, reason)
        buckets[bucket] = _NOTHING[kind]()
        return None
