"""Statistics of one timer's values in one interval, exactly as etsy/statsd defines them. Pure."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Protocol


class HistogramBins(Protocol):
    """Which timers get which bins."""

    @property
    def match(self) -> str:
        """What a bucket must contain."""

    @property
    def bins(self) -> Sequence[float]:
        """Upper bounds, each excluded; none for no histogram."""


def percentile_suffix(percentile: float) -> str:
    """Return how a percentile is written in a name: 90 is `90`, 99.9 is `99_9`, -10 is `top10`."""
    return _digits(percentile).replace("-", "top")


def _digits(number: float) -> str:
    return format(Decimal(repr(number)).normalize(), "f").replace(".", "_")


def leaves(percentiles: Sequence[float]) -> tuple[str, ...]:
    """Return every leaf that `summary` can give. Those of a histogram depend on the bucket, see `bins_for`."""
    return tuple(dict(summary([1.0], percentiles)))


def summary(values: Sequence[float], percentiles: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Yield (leaf, number) for at least one value, in milliseconds or whatever the client measured.

    `count` and the rate are not here: they depend on sampling and on the interval. Values so large
    that a sum overflows give infinities; the caller leaves those out.
    """
    ordered = sorted(values)
    count = len(ordered)
    total, squares = _sums(ordered)
    mean = total / count
    yield "sum", total
    yield "sum_squares", squares
    yield "mean", mean
    yield "median", _median(ordered)
    yield "lower", ordered[0]
    yield "upper", ordered[-1]
    yield "std", math.sqrt(_sum([(value - mean) * (value - mean) for value in ordered]) / count)
    for percentile in percentiles:
        yield from _percentile(ordered, percentile)


def bins_for(bucket: str, histograms: Sequence[HistogramBins]) -> tuple[float, ...]:
    """Return the bins of the first entry that matches a part of the bucket."""
    return next((tuple(histogram.bins) for histogram in histograms if histogram.match in bucket), ())


def histogram_leaves(bins: Sequence[float]) -> tuple[str, ...]:
    """Return the leaves that `histogram` gives, in its order."""
    return tuple(f"histogram.bin_{'inf' if bound == math.inf else _digits(bound)}" for bound in bins)


def histogram(values: Sequence[float], bins: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Yield (leaf, number of values) for each bin; no value is counted twice.

    As with etsy/statsd the bins are taken in the given order, so that one whose bound is not above
    those before it stays empty, and values beyond the last are not counted. `count` weighs sampled
    values, this does not.
    """
    ordered = sorted(values)
    counted = 0
    for leaf, bound in zip(histogram_leaves(bins), bins, strict=True):
        below = max(counted, bisect_left(ordered, bound) if bound < math.inf else len(ordered))
        yield leaf, below - counted
        counted = below


def _percentile(ordered: Sequence[float], percentile: float) -> Iterator[tuple[str, float]]:
    kept_count = _kept(len(ordered), percentile)
    if kept_count == 0:
        return
    top = percentile < 0
    kept = ordered[-kept_count:] if top else ordered[:kept_count]
    total, squares = _sums(kept)
    suffix = percentile_suffix(percentile)
    yield f"count_{suffix}", kept_count
    yield f"mean_{suffix}", total / kept_count
    yield (f"lower_{suffix}", kept[0]) if top else (f"upper_{suffix}", kept[-1])
    yield f"sum_{suffix}", total
    yield f"sum_squares_{suffix}", squares


def _kept(count: int, percentile: float) -> int:
    if count == 1:
        return 1
    # Half goes up, as in JavaScript's Math.round; Python's round() would send it to the even side.
    return math.floor(abs(percentile) / 100 * count + 0.5)


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def _sums(values: Sequence[float]) -> tuple[float, float]:
    return _sum(values), _sum([value * value for value in values])


def _sum(values: Sequence[float]) -> float:
    # Not sum(): it rounds differently from Python 3.12 on.
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return math.inf
