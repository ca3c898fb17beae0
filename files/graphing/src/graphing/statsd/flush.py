"""An interval's numbers to (name, number) pairs for Graphite. Pure.

Yields one pair at a time, so that the server can receive between them. Numbers may be infinite when
clients sent some near the end of a double's range; whoever formats them leaves those out.
"""

from collections.abc import Iterator, Sequence

from graphing.statsd.aggregate import Interval
from graphing.statsd.naming import Naming
from graphing.statsd.timers import summary


def measurements(
    interval: Interval, naming: Naming, percentiles: Sequence[float], seconds: int
) -> Iterator[tuple[str, float]]:
    """Yield what Graphite is to store for an interval that lasted `seconds`."""
    for bucket, value in interval.counters.items():
        if naming.counter_count:
            yield naming.counter_count(bucket), value
        yield naming.counter_rate(bucket), value / seconds
    for bucket in interval.timers:
        for leaf, value in _timer(interval, bucket, naming, percentiles, seconds):
            yield naming.timer(f"{bucket}.{leaf}"), value
    for bucket, value in interval.gauges.items():
        yield naming.gauge(bucket), value
    for bucket, members in interval.sets.items():
        yield naming.set(bucket), len(members)


def _timer(
    interval: Interval, bucket: str, naming: Naming, percentiles: Sequence[float], seconds: int
) -> Iterator[tuple[str, float]]:
    values = interval.timers[bucket]
    count = len(values) + interval.unsent.get(bucket, 0.0)
    yield "count", count
    yield naming.timer_rate_leaf, count / seconds
    if values:
        yield from summary(values, percentiles)
