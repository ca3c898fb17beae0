"""An interval's numbers to (name, number, stamp) triples for Graphite. Pure.

Yields one at a time, so that the server can receive between them. A stamp of 0 stands for the flush's own.
Numbers may be infinite when clients sent some near the end of a double's range; whoever formats them
leaves those out.
"""

from collections.abc import Iterator, Sequence

from graphing.statsd.model.naming import Naming
from graphing.statsd.model.reference import Interval
from graphing.statsd.model.timers import HistogramBins, bins_for, histogram, summary


def measurements(
    interval: Interval,
    naming: Naming,
    percentiles: Sequence[float],
    seconds: int,
    histograms: Sequence[HistogramBins] = (),
) -> Iterator[tuple[str, float, int]]:
    """Yield what Graphite is to store for an interval that lasted `seconds`."""
    for bucket, value in interval.counters.items():
        if naming.counter_count:
            yield naming.counter_count(bucket), value, 0
        yield naming.counter_rate(bucket), value / seconds, 0
    for bucket in interval.timers:
        count = _timer_count(interval, bucket)
        yield naming.timer(bucket, "count"), count, 0
        yield naming.timer(bucket, naming.timer_rate_leaf), count / seconds, 0
        for leaf, value in _statistics(interval.timers[bucket], percentiles, bins_for(bucket, histograms)):
            yield naming.timer(bucket, leaf), value, 0
    for bucket, value in interval.gauges.items():
        yield naming.gauge(bucket), value, 0
    for bucket, members in interval.sets.items():
        yield naming.set(bucket), len(members), 0
    for name_of, stamped in ((naming.value, interval.values), (naming.gauge, interval.dated)):
        for bucket, values in stamped.items():
            name = name_of(bucket)
            for value, stamp in values:
                yield name, value, stamp


def _timer_count(interval: Interval, bucket: str) -> float:
    return len(interval.timers[bucket]) + interval.unsent.get(bucket, 0.0)


def _statistics(
    values: Sequence[float], percentiles: Sequence[float], bins: Sequence[float]
) -> Iterator[tuple[str, float]]:
    if values:
        yield from summary(values, percentiles)
        yield from histogram(values, bins)
