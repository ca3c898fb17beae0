"""The engine whose hot loop is compiled: `graphing_twin`, with the reference's code for all that is unusual."""

import itertools
import os
import time
from collections.abc import Callable, Container, Iterator
from importlib import import_module
from typing import Any

from graphing.statsd.engine.receive import GatheringTime, sender_text
from graphing.statsd.model.lines import Flush, Form, IntervalFlush, Slice
from graphing.statsd.model.naming import Affixes, PlainConflicts
from graphing.statsd.model.partial import KINDS, stamped_record
from graphing.statsd.model.protocol import Kind, Malformed, Metric, decode, parse_line
from graphing.statsd.model.reference import (
    TOO_MANY_BUCKETS,
    TOO_MANY_VALUES,
    BucketRules,
    Interval,
    Outcome,
    Reason,
    SavedItem,
    drop_tags,
    never,
    saved_items,
)
from graphing.statsd.model.timers import bins_for, histogram, leaves
from graphing.statsd.survival.datagram_log import LAYOUT

_SENDER_SECONDS = 60.0
"""After a complaint, for so long the senders of datagrams are noted, so that the next complaint can name its own."""

_UNBOUNDED = BucketRules().max_values

_Stamped = dict[Kind, dict[str, list[tuple[float, int]]]]
"""Per bucket of a kind: each value with its time in seconds since 1970, or 0."""

_CODES = {kind: code for code, kind in enumerate(KINDS)}


def is_available() -> bool:
    """Tell whether the compiled module can be imported."""
    try:
        import_module("graphing_twin")
    except ImportError:
        return False
    return True


class CompiledEngine:
    """Aggregates as `aggregate.Engine` does."""

    name = "compiled"

    def __init__(self, rules: BucketRules) -> None:
        self._twin: Any = import_module("graphing_twin")
        self._table = self._twin.Table(self._feed_line, int.from_bytes(os.urandom(8), "little"))
        self._stamped: _Stamped = {Kind.VALUE: {}, Kind.DATED: {}}
        self._stamped_changed = False
        self._outcome = Outcome()
        self._senders_until = 0.0
        self._known = _Known(self._table, self._stamped)
        self._rules = rules
        self.configure(rules)

    def configure(self, rules: BucketRules) -> None:
        """Go by other rules from now on; what is there stays."""
        was, self._rules = self._rules, rules
        self._configure(rules.max_values)
        self._table.admit(*_admission(rules))
        if was.tags and not rules.tags:
            drop_tags(self)

    def _configure(self, max_values: int) -> None:
        rules = self._rules
        forget = [_CODES[kind] for kind in rules.forget]
        self._table.configure(forget, rules.gauge_flushes, rules.max_buckets, max_values, not rules.tags)

    def feed(self, lines: bytes | bytearray | memoryview) -> None:
        """Add every good line of newline-joined lines."""
        self._table.feed(lines)

    def _feed_line(self, raw: bytes) -> None:
        """Take an unusual line. Called in the middle of `feed`."""
        line = decode(raw)
        try:
            for metric in parse_line(line, self._rules.tags):
                self.add(metric)
        except Malformed as refused:
            self._complain(Reason.BAD, line, str(refused))
        except Exception as error:
            self._complain(Reason.BAD, line, f"internal error: {error!r}")

    def _complain(self, reason: Reason, subject: str, text: str) -> None:
        self._senders_until = time.monotonic() + _SENDER_SECONDS
        self._table.wants_senders = True
        self._outcome.complain(reason, subject, text, sender_text(self._table.sender()))

    def add(self, metric: Metric, _line: str = "") -> None:
        """Add one metric, or complain about it."""
        bucket, kind = metric.bucket, metric.kind
        if not self._is_admitted(bucket, kind):
            return
        if self._put(metric):
            self._outcome.metrics += 1
        else:
            self._complain(Reason.REFUSED, bucket, TOO_MANY_VALUES)

    def _put(self, metric: Metric) -> bool:
        kind, table, name = metric.kind, self._table, metric.bucket.encode("latin-1")
        if kind is Kind.COUNTER:
            table.add_counter(name, metric.value / metric.rate)
        elif kind is Kind.TIMER:
            return bool(table.add_timer(name, (metric.value,), 1 / metric.rate - 1 if metric.rate < 1 else 0.0))
        elif kind is Kind.GAUGE:
            table.set_gauge(name, metric.value, metric.delta)
        elif kind is Kind.SET:
            return bool(table.add_members(name, (metric.member.encode("latin-1"),)))
        else:
            return self._put_stamped(metric)
        return True

    def _put_stamped(self, metric: Metric) -> bool:
        values = self._stamped[metric.kind].setdefault(metric.bucket, [])
        if len(values) >= self._rules.max_values:
            return False
        values.append((metric.value, metric.stamp))
        self._note_stamped()
        return True

    def _note_stamped(self) -> None:
        self._stamped_changed = True
        # The table does not know these, so it can't tell what is in their way.
        self._table.must_ask = any(self._stamped.values())

    def _is_admitted(self, bucket: str, kind: Kind) -> bool:
        if self._known.has(bucket, kind):
            return True
        if len(self) >= self._rules.max_buckets:
            self._complain(Reason.REFUSED, bucket, TOO_MANY_BUCKETS)
            return False
        reason = self._rules.conflict(self._known, bucket, kind)
        if reason:
            self._complain(Reason.CONFLICT, bucket, reason)
        return not reason

    def collect_outcome(self) -> Outcome:
        """Return what became of what was fed since the last call."""
        outcome, self._outcome = self._outcome, Outcome()
        if self._table.wants_senders and time.monotonic() > self._senders_until:
            self._table.wants_senders = False
        outcome.metrics += self._table.metrics
        refused, self._table.metrics = self._table.refused, 0
        self._table.refused = 0
        if refused:
            name = self._table.pop_refused_name()
            why = TOO_MANY_BUCKETS if name is None else TOO_MANY_VALUES
            outcome.complain(Reason.REFUSED, decode(name or b""), why, "")
            outcome.refused += refused - 1
        return outcome

    def interval(self) -> Interval:
        """Return a copy of the interval in progress."""
        counters, timers, unsent, gauges, sets = self._table.buckets()
        return Interval(
            counters=_decoded(counters),
            timers=_decoded(timers),
            unsent=_decoded(unsent),
            gauges=_decoded(gauges),
            sets={decode(name): set(map(decode, members)) for name, members in sets.items()},
            values=_copied(self._stamped[Kind.VALUE]),
            dated=_copied(self._stamped[Kind.DATED]),
        )

    def delete(self, kind: Kind, bucket: str) -> bool:
        """Forget a bucket; return whether there was one."""
        if kind in self._stamped:
            found = self._stamped[kind].pop(bucket, None) is not None
            self._note_stamped()
            return found
        return bool(self._table.delete(bucket.encode("latin-1"), _CODES[kind]))

    def restore(self, saved: Interval) -> None:
        """Add an interval that an earlier process saved; its gauges win."""
        # What was taken once is not refused now.
        self._configure(_UNBOUNDED)
        for item in saved_items(saved, self._rules):
            if self._is_admitted(item.bucket, item.kind):
                self._restore(item)
        self._configure(self._rules.max_values)

    def _restore(self, item: SavedItem) -> None:
        kind, value, name = item.kind, item.value, item.bucket.encode("latin-1")
        if kind is Kind.COUNTER:
            self._table.add_counter(name, value)
        elif kind is Kind.TIMER:
            self._table.add_timer(name, value, item.unsent)
        elif kind is Kind.GAUGE:
            self._table.set_gauge(name, value, False)
        elif kind is Kind.SET:
            self._table.add_members(name, [member.encode("latin-1") for member in value])
        else:
            self._stamped[kind].setdefault(item.bucket, []).extend(value)
            self._note_stamped()

    def serialize_changes(self) -> bytes:
        """Return what changed since the last call as records of `partial`."""
        records: bytes = self._table.serialize_changes()
        if self._stamped_changed:
            self._stamped_changed = False
            records += b"".join(itertools.starmap(stamped_record, self._stamped.items()))
        return records

    @property
    def has_changes(self) -> bool:
        """Whether records wait that are not in the log: a flush leaves some."""
        return bool(self._table.has_changes)

    @property
    def wants_compaction(self) -> bool:
        """Whether compacting the log now keeps the next time short."""
        return bool(self._table.wants_compaction)

    def begin_flush(self, form: Form) -> Flush:
        """End the interval in progress, after a `serialize_changes`; return what writes its lines."""
        stamped = Interval(values=dict(self._stamped[Kind.VALUE]), dated=dict(self._stamped[Kind.DATED]))
        for found in self._stamped.values():
            found.clear()
        self._table.must_ask = False
        names = self._twin.Names(
            [_affixes(a) for a in _in_order(form)],
            [f".{leaf}".encode() for leaf in ("count", form.naming.timer_rate_leaf, *_SUMMARY)],
            [(p, tuple(f".{leaf}".encode() for leaf in leaves([p])[len(_SUMMARY) :])) for p in form.percentiles],
            _histogram(form) if form.histograms else None,
            float(form.seconds),
            f" {form.stamp}\n".encode(),
            self._rules.tags,
        )
        self._table.begin_flush(names)
        return _CompiledFlush(self._table, IntervalFlush(stamped, form))

    def receiver(self, memory: Any) -> "CompiledReceiver":
        """Return what receives into `memory`, see `datagram_log`."""
        return CompiledReceiver(self._table, memory)

    def __len__(self) -> int:
        return len(self._table) + sum(map(len, self._stamped.values()))


class CompiledReceiver:
    """Receives as `receive.Receiver` does."""

    def __init__(self, table: Any, memory: Any) -> None:
        self._table = table
        self._nap = GatheringTime()
        table.attach(memory, LAYOUT)

    @property
    def used(self) -> int:
        """Bytes in the log."""
        return int(self._table.used)

    def begin(self, generation: int) -> None:
        """Go on with an empty log."""
        self._table.begin_log(generation)

    def receive(self, fds: list[int], seconds: float) -> bool:
        """Receive for `seconds` or until a signal; return True if the log must be compacted first."""
        return bool(self._table.receive(fds, seconds, self._nap.longest(fds)))

    def add(self, lines: bytes) -> bool:
        """Log and feed lines that came another way; return False, having done nothing, if the log has no room."""
        return bool(self._table.add(lines))

    def collect_packets(self) -> tuple[int, int]:
        """Return how many datagrams came since the last call, and how many were longer than a slot."""
        counts = self._table.packets, self._table.truncated
        self._table.packets = self._table.truncated = 0
        return counts


_SUMMARY = leaves([])


def _admission(rules: BucketRules) -> tuple[bool, bytes, dict[int, list[bytes]], bool]:
    """Return what `Table.admit` takes."""
    conflict = rules.conflict
    if not isinstance(conflict, PlainConflicts):
        return conflict is never, b"", {}, False
    leaves_of = {_CODES[kind]: [f".{leaf}".encode() for leaf in own] for kind, own in conflict.leaves.items()}
    return True, conflict.reserved.encode(), leaves_of, bool(conflict.histograms)


def _in_order(form: Form) -> Iterator[Affixes | None]:
    naming = form.naming
    yield from (naming.counter_count, naming.counter_rate, naming.timer, naming.gauge, naming.set)


def _affixes(affixes: Affixes | None) -> tuple[bytes, bytes] | None:
    return (affixes.before.encode(), affixes.after.encode()) if affixes else None


def _histogram(form: Form) -> Callable[[bytes, list[float]], list[tuple[bytes, float]]]:
    def of(name: bytes, values: list[float]) -> list[tuple[bytes, float]]:
        bins = bins_for(decode(name), form.histograms)
        return [(f".{leaf}".encode(), number) for leaf, number in histogram(values, bins)]

    return of


def _copied(found: dict[str, list[tuple[float, int]]]) -> dict[str, list[tuple[float, int]]]:
    return {bucket: list(values) for bucket, values in found.items()}


def _decoded(found: dict[bytes, Any]) -> dict[str, Any]:
    return {decode(name): value for name, value in found.items()}


class _Known:
    """Which buckets there are."""

    def __init__(self, table: Any, stamped: _Stamped) -> None:
        self._table = table
        self._stamped = stamped
        self.values: Container[str] = stamped[Kind.VALUE]
        self.dated: Container[str] = stamped[Kind.DATED]
        self.gauges: Container[str] = _Gauges(table)

    def has(self, bucket: str, kind: Kind) -> bool:
        if kind in self._stamped:
            return bucket in self._stamped[kind]
        return bool(self._table.has(bucket.encode("latin-1"), _CODES[kind]))

    def kind_of(self, bucket: str) -> Kind | None:
        return next((kind for kind in Kind if self.has(bucket, kind)), None)


class _Gauges:
    def __init__(self, table: Any) -> None:
        self._has = table.has

    def __contains__(self, bucket: object) -> bool:
        return isinstance(bucket, str) and bool(self._has(bucket.encode("latin-1"), _CODES[Kind.GAUGE]))


class _CompiledFlush:
    """The lines of an interval."""

    def __init__(self, table: Any, stamped: IntervalFlush) -> None:
        self._slices = table.flush_slice
        self._stamped = stamped
        self.buckets = stamped.buckets

    def slice(self, most: int) -> Slice | None:
        """Return the lines of the next `most` buckets, None at the end."""
        found = self._slices(most)
        if found is None:
            return self._stamped.slice(most)
        lines, count, not_finite, buckets = found
        self.buckets += buckets
        return Slice(lines, count, not_finite, 0)
