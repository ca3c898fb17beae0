"""The aggregation engine: metrics in, the numbers of an interval out. Pure: no clock, no I/O.

Sits between `protocol` and `numbers`. It knows nothing about names in Graphite, except which two
buckets can't exist side by side (see `BucketRules`). This one is the reference; `compiled` does the same, faster.
"""

import marshal
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Any, NamedTuple, Protocol

from graphing.statsd.model.protocol import Kind, Malformed, Metric, decode, parse_line, read_number


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
    values: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """Per `kv` bucket: each value with its own time in seconds since 1970, or 0. They end with the interval."""
    dated: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """The same of gauges, beside `gauges`."""

    def of(self, kind: Kind) -> dict[str, Any]:
        """Return the buckets of one kind."""
        buckets: dict[str, Any] = getattr(self, kind)
        return buckets

    def kind_of(self, bucket: str) -> Kind | None:
        """Return the kind of a known bucket."""
        return next((kind for kind in Kind if bucket in self.of(kind)), None)

    def tagged(self) -> "Interval":
        """Return the buckets that have tags."""
        found = {
            kind.value: {bucket: value for bucket, value in self.of(kind).items() if ";" in bucket} for kind in Kind
        }
        return Interval(**found, unsent={bucket: unsent for bucket, unsent in self.unsent.items() if ";" in bucket})

    def successor(self, forget: frozenset[Kind]) -> "Interval":
        """Return the interval that follows: the same buckets without values, except the kinds in `forget`."""
        return Interval(
            counters={} if Kind.COUNTER in forget else dict.fromkeys(self.counters, 0.0),
            timers={} if Kind.TIMER in forget else {bucket: [] for bucket in self.timers},
            gauges={} if Kind.GAUGE in forget else dict(self.gauges),
            sets={} if Kind.SET in forget else {bucket: set() for bucket in self.sets},
        )

    def __len__(self) -> int:
        return sum(len(self.of(kind)) for kind in Kind)


_NOTHING: dict[Kind, Callable[[], Any]] = {
    Kind.COUNTER: float,
    Kind.TIMER: list,
    Kind.GAUGE: float,
    Kind.SET: set,
    Kind.VALUE: list,
    Kind.DATED: list,
}


class Buckets(Protocol):
    """Which buckets there are; an `Interval` is one."""

    def kind_of(self, bucket: str) -> Kind | None:
        """Return the kind of a known bucket."""

    @property
    def gauges(self) -> Container[str]:
        """All gauges."""

    @property
    def values(self) -> Container[str]:
        """All `kv` buckets."""

    @property
    def dated(self) -> Container[str]:
        """All gauges with values that have a time of their own."""


def never(_buckets: Buckets, _bucket: str, _kind: Kind) -> str | None:
    """Have nothing against any bucket."""
    return None


@dataclass(frozen=True, slots=True)
class BucketRules:
    """What the configuration says about buckets."""

    forget: frozenset[Kind] = frozenset()
    """Kinds whose buckets are forgotten at every flush, so that idle ones send nothing."""
    conflict: Callable[[Buckets, str, Kind], str | None] = never
    """Asked about each new bucket: why it can't be made, or None."""
    gauge_flushes: int = 0
    """In how many flushes a gauge is written that gets no further value; 0: in all."""
    max_buckets: int = 2**62
    max_values: int = 2**62
    """Most values of a timer, members of a set, or values with a time of their own, of a bucket in one interval."""
    tags: bool = False
    """Tags are part of a bucket, see `protocol.parse_line`."""


class Reason(StrEnum):
    """Why something was not aggregated; the names of the counts in `health.Counted`."""

    BAD = "bad_lines"
    CONFLICT = "type_conflicts"
    REFUSED = "refused"


class Complaint(NamedTuple):
    """One thing that was not aggregated: a line or a bucket, why, and who sent it (if that is known)."""

    reason: Reason
    subject: str
    text: str
    sender: str


_MOST_TOLD = 10


@dataclass(slots=True)
class Outcome:
    """What became of what was fed; `complaints` are the first complaints of each reason."""

    metrics: int = 0
    bad_lines: int = 0
    type_conflicts: int = 0
    refused: int = 0
    complaints: list[Complaint] = field(default_factory=list)

    def complain(self, reason: Reason, subject: str, text: str, sender: str = "") -> None:
        """Count something and keep it if there are few of its reason."""
        count = getattr(self, reason) + 1
        setattr(self, reason, count)
        if count <= _MOST_TOLD:
            self.complaints.append(Complaint(reason, subject, text, sender))


TOO_MANY_BUCKETS = "there are max_buckets buckets already"
TOO_MANY_VALUES = "it has max_values values in this interval already"


class SavedItem(NamedTuple):
    """What a bucket of a saved interval holds."""

    bucket: str
    kind: Kind
    value: Any
    unsent: float


def saved_items(saved: Interval, rules: BucketRules) -> Iterator[SavedItem]:
    """Yield what `rules` leave of a saved interval: several of one bucket if tags are dropped that tell them apart."""
    for kind in Kind:
        for bucket, value in saved.of(kind).items():
            unsent = saved.unsent.get(bucket, 0.0) if kind is Kind.TIMER else 0.0
            yield SavedItem(bucket if rules.tags else bucket.partition(";")[0], kind, value, unsent)


class _Restorable(Protocol):
    def interval(self) -> Interval: ...
    def delete(self, kind: Kind, bucket: str) -> bool: ...
    def restore(self, saved: Interval) -> None: ...


def drop_tags(engine: _Restorable) -> None:
    """Put what the buckets with tags hold into those without: tags are dropped from now on."""
    tagged = engine.interval().tagged()
    for kind in Kind:
        for bucket in tagged.of(kind):
            engine.delete(kind, bucket)
    engine.restore(tagged)


class Engine:
    """Aggregates the interval in progress, `now`."""

    name = "python"

    def __init__(self, rules: BucketRules) -> None:
        self.sender_of: Callable[[str], str] = lambda _line: ""
        """Asked for the sender of a line that is complained about."""
        self.now = Interval()
        self._rules = rules
        self._outcome = Outcome()
        # Values of timers as they came; `_settle` reads them. A bucket is here if it is a timer.
        self._unread: dict[str, list[str]] = {}
        self._flush = 0
        self._gauge_set: dict[str, int] = {}
        """The flush before which a gauge was set last."""

    def configure(self, rules: BucketRules) -> None:
        """Go by other rules from now on; what is there stays."""
        was, self._rules = self._rules, rules
        if rules.gauge_flushes and not 0 < was.gauge_flushes <= rules.gauge_flushes:
            # A stricter rule; and without any, nobody noted when a gauge was set.
            self._gauge_set = dict.fromkeys(self.now.gauges, self._flush)
        if was.tags and not rules.tags:
            drop_tags(self)

    def feed(self, lines: bytes | bytearray | memoryview) -> None:
        """Add every good line of newline-joined lines.

        The same as `parse_line` and `add` for each line, but the usual lines take a short way: a bucket
        that is already known has a legal name, and nothing needs to be built. A timer's value is only
        read when the interval is serialized or ends, all of a bucket at once.
        """
        counters, unread, gauges = self.now.counters, self._unread, self.now.gauges
        note_gauges = self._rules.gauge_flushes > 0
        metrics = 0
        for line in decode(lines).split("\n"):
            bucket, _, rest = line.partition(":")
            try:
                if rest == "1|c":
                    counters[bucket] += 1.0
                else:
                    value, _, kind = rest.partition("|")
                    if kind == "c":
                        counters[bucket] += read_number(value)
                    elif kind == "ms":
                        unread[bucket].append(value)
                        continue
                    elif kind == "g" and not note_gauges and value[:1] in _DIGITS:
                        # Only a known gauge may be set here.
                        gauges[bucket]
                        gauges[bucket] = read_number(value)
                    else:
                        self._feed_line(line)
                        continue
                metrics += 1
            except (KeyError, Malformed):
                self._feed_line(line)
        self._outcome.metrics += metrics

    def _feed_line(self, line: str) -> None:
        try:
            metrics = parse_line(line, self._rules.tags)
        except Malformed as refused:
            self._outcome.complain(Reason.BAD, line, str(refused), self.sender_of(line))
            return
        for metric in metrics:
            self.add(metric, line)

    def add(self, metric: Metric, line: str = "") -> None:
        """Add one metric, or complain about it. `line` is where it stood."""
        bucket, kind = metric.bucket, metric.kind
        if self._admit(bucket, kind, line) and self._put(metric):
            self._outcome.metrics += 1
        elif bucket in self.now.of(kind):
            self._outcome.complain(Reason.REFUSED, bucket, TOO_MANY_VALUES, self.sender_of(line))

    def _put(self, metric: Metric) -> bool:
        """Put a metric into its bucket; return False if that has as many as it may have."""
        bucket, kind, now = metric.bucket, metric.kind, self.now
        if kind is Kind.COUNTER:
            now.counters[bucket] += metric.value / metric.rate
        elif kind is Kind.TIMER:
            self._settle(bucket)
            if len(now.timers[bucket]) >= self._rules.max_values:
                return False
            now.timers[bucket].append(metric.value)
            if metric.rate < 1:
                now.unsent[bucket] = now.unsent.get(bucket, 0.0) + (1 / metric.rate - 1)
        elif kind is Kind.GAUGE:
            now.gauges[bucket] = metric.value + (now.gauges[bucket] if metric.delta else 0.0)
            self._gauge_set[bucket] = self._flush
        elif kind is Kind.SET:
            members = now.sets[bucket]
            if metric.member not in members and len(members) >= self._rules.max_values:
                return False
            members.add(metric.member)
        else:
            values = now.of(kind)[bucket]
            if len(values) >= self._rules.max_values:
                return False
            values.append((metric.value, metric.stamp))
        return True

    def _admit(self, bucket: str, kind: Kind, line: str) -> bool:
        """Make the bucket if it is new and allowed; complain if it isn't."""
        buckets = self.now.of(kind)
        if bucket in buckets:
            return True
        if len(self.now) >= self._rules.max_buckets:
            self._outcome.complain(Reason.REFUSED, bucket, TOO_MANY_BUCKETS, self.sender_of(line))
            return False
        reason = self._rules.conflict(self.now, bucket, kind)
        if reason:
            self._outcome.complain(Reason.CONFLICT, bucket, reason, self.sender_of(line))
            return False
        buckets[bucket] = _NOTHING[kind]()
        if kind is Kind.TIMER:
            self._unread[bucket] = []
        return True

    def _settle_all(self) -> None:
        for bucket, unread in self._unread.items():
            if unread:
                self._settle(bucket)

    def _settle(self, bucket: str) -> None:
        """Read the values of a timer that came in the short way."""
        unread = self._unread[bucket]
        if not unread:
            return
        self._unread[bucket] = []
        known = self.now.timers[bucket]
        values = _read_all(unread)
        if values is None or len(known) + len(values) > self._rules.max_values:
            for text in unread:
                self._feed_line(f"{bucket}:{text}|ms")
            return
        known += values
        self._outcome.metrics += len(values)

    def collect_outcome(self) -> Outcome:
        """Return what became of what was fed since the last call."""
        self._settle_all()
        outcome, self._outcome = self._outcome, Outcome()
        return outcome

    def interval(self) -> Interval:
        """Return the interval in progress. Not to be changed."""
        self._settle_all()
        return self.now

    def end_interval(self) -> Interval:
        """Return the interval in progress and begin the next one."""
        self._settle_all()
        ended, self.now = self.now, self.now.successor(self._rules.forget)
        self._unread = {bucket: [] for bucket in self.now.timers}
        self._flush += 1
        if self._rules.gauge_flushes:
            self._forget_gauges()
        return ended

    def _forget_gauges(self) -> None:
        oldest = self._flush - self._rules.gauge_flushes
        for bucket in [bucket for bucket in self.now.gauges if self._gauge_set.get(bucket, 0) <= oldest]:
            del self.now.gauges[bucket]
        self._gauge_set = {bucket: self._gauge_set.get(bucket, 0) for bucket in self.now.gauges}

    def delete(self, kind: Kind, bucket: str) -> bool:
        """Forget a bucket; return whether there was one."""
        self._settle_all()
        self._unread.pop(bucket, None) if kind is Kind.TIMER else None
        if kind is Kind.TIMER:
            self.now.unsent.pop(bucket, None)
        return self.now.of(kind).pop(bucket, None) is not None

    def restore(self, saved: Interval) -> None:
        """Add an interval that an earlier process saved; its gauges win."""
        for item in saved_items(saved, self._rules):
            if self._admit(item.bucket, item.kind, ""):
                self._restore(item)

    def _restore(self, item: "SavedItem") -> None:
        bucket, kind, now = item.bucket, item.kind, self.now
        if kind is Kind.GAUGE:
            now.gauges[bucket] = item.value
            self._gauge_set[bucket] = self._flush
        elif kind is Kind.SET:
            now.sets[bucket] |= item.value
        else:
            now.of(kind)[bucket] += item.value
        if item.unsent:
            now.unsent[bucket] = now.unsent.get(bucket, 0.0) + item.unsent

    def serialize_changes(self) -> bytes:
        """Return the interval in progress as a record of `partial`."""
        self._settle_all()
        now = self.now
        content = marshal.dumps((now.counters, now.timers, now.unsent, now.gauges, now.sets, now.values, now.dated))
        return b"M" + len(content).to_bytes(4, "little") + content

    @property
    def has_changes(self) -> bool:
        """Whether records wait that are not in the log: never, as all is serialized anew each time."""
        return False

    @property
    def wants_compaction(self) -> bool:
        """Whether compacting the log now keeps the next time short: it would not."""
        return False

    def __len__(self) -> int:
        return len(self.now)


_DIGITS = frozenset("0123456789")


def _read_all(texts: Iterable[str]) -> list[float] | None:
    """Read numbers as `read_number` does, in a few steps for all of them; None if one of them needs a closer look."""
    try:
        values = list(map(float, texts))
    except ValueError:
        return None
    joined = "".join(texts)
    # An n is in inf, infinity and nan.
    if not joined.isascii() or "_" in joined or "n" in joined or "N" in joined or inf in values or -inf in values:
        return None
    return values
