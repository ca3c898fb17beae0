"""Names of the three namespaces: how a bucket of a kind is called in Graphite. Pure.

`plain` keeps the kinds out of the names; `etsy` and `legacy` are etsy/statsd's two, for dashboards
that were made for them. In `plain` two buckets could meet in one name, which `conflict_in_plain`
prevents. In the others that takes a bucket such as `timers.x` in `legacy` or an emptied prefix in
`etsy`; there, as with etsy/statsd, the last line of a flush wins.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from graphing.statsd.model.protocol import Kind
from graphing.statsd.model.reference import Buckets
from graphing.statsd.model.timers import HistogramBins, bins_for, histogram_leaves, leaves

COUNTER_LEAVES = ("count", "rate")
SET_LEAVES = ("unique",)
_GAUGES = frozenset((Kind.GAUGE, Kind.DATED))
"""One bucket may be both: they are one series."""
_WITHOUT_LEAF = _GAUGES | {Kind.VALUE}
_VALUE_PREFIX = "kv"
"""What stands for the kind where kinds are in names: statsite's word for it, since etsy/statsd has no such kind."""


@dataclass(frozen=True, slots=True)
class Affixes:
    """What stands before and after a bucket in a name. Tags stay at its end."""

    before: str
    after: str

    def __call__(self, bucket: str, leaf: str = "") -> str:
        """Return the name of a bucket, or of one of its leaves."""
        if ";" in bucket:
            path, tags = _split_tags(bucket)
            return Affixes(self.before, f"{self.after}{tags}")(path, leaf)
        return f"{self.before}{bucket}.{leaf}{self.after}" if leaf else f"{self.before}{bucket}{self.after}"


@dataclass(frozen=True, slots=True)
class Naming:
    """One namespace. A name is made by calling an attribute with the bucket."""

    counter_count: Affixes | None
    """None: counts are not wanted, only rates."""
    counter_rate: Affixes
    timer: Affixes
    """Called with a leaf."""
    timer_rate_leaf: str
    gauge: Affixes
    set: Affixes
    value: Affixes
    health: Callable[[str, float, bool, int], Iterator[tuple[str, float]]]
    """Yield name and number of (own metric, value, whether it counts events, interval in seconds)."""


def plain(prefix: str, health_prefix: str, flush_counts: bool) -> Naming:
    """Return the default namespace: `<prefix>.bucket.count` and so on."""
    before = _dotted(prefix)
    own = _dotted(health_prefix)

    def health(name: str, value: float, counts: bool, _seconds: int) -> Iterator[tuple[str, float]]:
        yield f"{own}{name}.count" if counts else f"{own}{name}", value

    return Naming(
        counter_count=Affixes(before, ".count") if flush_counts else None,
        counter_rate=Affixes(before, ".rate"),
        timer=Affixes(before, ""),
        timer_rate_leaf="rate",
        gauge=Affixes(before, ""),
        set=Affixes(before, ".unique"),
        value=Affixes(before, ""),
        health=health,
    )


def etsy(prefix: str, suffix: str, prefixes: dict[Kind, str], health_prefix: str, flush_counts: bool) -> Naming:
    """Return etsy/statsd's namespace with `legacyNamespace: false`; an empty prefix drops its segment."""
    before = {kind: _dotted(prefix, prefixes.get(kind, _VALUE_PREFIX)) for kind in Kind}
    end = f".{suffix}" if suffix else ""
    count = Affixes(before[Kind.COUNTER], f".count{end}")
    rate = Affixes(before[Kind.COUNTER], f".rate{end}")
    level = Affixes(_dotted(prefix, health_prefix), end)
    return Naming(
        counter_count=count if flush_counts else None,
        counter_rate=rate,
        timer=Affixes(before[Kind.TIMER], end),
        timer_rate_leaf="count_ps",
        gauge=Affixes(before[Kind.GAUGE], end),
        set=Affixes(before[Kind.SET], f".count{end}"),
        value=Affixes(before[Kind.VALUE], end),
        health=_etsy_health(count if flush_counts else None, rate, health_prefix, level, level),
    )


def legacy(suffix: str, health_prefix: str, flush_counts: bool) -> Naming:
    """Return etsy/statsd's own default, whose prefixes are fixed."""
    end = f".{suffix}" if suffix else ""
    count = Affixes("stats_counts.", end) if flush_counts else None
    rate = Affixes("stats.", end)
    level = Affixes(_dotted("stats", health_prefix), end)
    total = Affixes(_dotted(health_prefix), end)
    return Naming(
        counter_count=count,
        counter_rate=rate,
        timer=Affixes("stats.timers.", end),
        timer_rate_leaf="count_ps",
        gauge=Affixes("stats.gauges.", end),
        set=Affixes("stats.sets.", f".count{end}"),
        value=Affixes(f"stats.{_VALUE_PREFIX}.", end),
        health=_etsy_health(count, rate, health_prefix, level, total),
    )


_ETSY_NAMES = {
    "packets": "packets_received",
    "metrics": "metrics_received",
    "bad_lines": "bad_lines_seen",
    "buckets": "numStats",
}
"""Own metrics that etsy/statsd has too, under its names."""


def _etsy_health(
    count: Affixes | None, rate: Affixes, health_prefix: str, level: Affixes, total: Affixes
) -> Callable[[str, float, bool, int], Iterator[tuple[str, float]]]:
    own = _dotted(health_prefix)

    def health(name: str, value: float, counts: bool, seconds: int) -> Iterator[tuple[str, float]]:
        name = _ETSY_NAMES.get(name, name)
        if not counts:
            yield (total if name == "numStats" else level)(name), value
            return
        if count:
            yield count(own + name), value
        yield rate(own + name), value / seconds

    return health


@dataclass(frozen=True, slots=True)
class PlainConflicts:
    """The rule for new buckets in `plain`: one kind per bucket, one bucket per name.

    A bucket is meant with its tags: the same path with others is another bucket.
    """

    reserved: str
    """The bucket that has the name of the aggregator's own metrics; empty if none can have it."""
    leaves: dict[Kind, tuple[str, ...]]
    """What a bucket of a kind is called besides its own name, without the leaves of histograms."""
    histograms: Sequence[HistogramBins] = ()

    def __call__(self, buckets: Buckets, bucket: str, kind: Kind) -> str | None:
        """Return why there can be no such bucket among those that there are, or None."""
        known = buckets.kind_of(bucket)
        if known:
            return (
                None if {known, kind} <= _GAUGES else f"it is one of the {_plural(known)}, not of the {_plural(kind)}"
            )
        path, tags = _split_tags(bucket)
        if self.reserved and f"{path}.".startswith(f"{self.reserved}."):
            return "its name is kept for the aggregator's own metrics"
        # Only a gauge or a value has a name without a leaf, so only they can be called like another's leaf.
        if kind not in _WITHOUT_LEAF:
            for leaf in self._leaves_of(bucket, kind):
                name = f"{path}.{leaf}{tags}"
                if name in buckets.gauges or name in buckets.values or name in buckets.dated:
                    return f"{name} is one of the {_plural(buckets.kind_of(name))}"
            return None
        for parent, leaf in _parents(path):
            parent_kind = buckets.kind_of(parent + tags)
            if parent_kind and leaf in self._leaves_of(parent + tags, parent_kind):
                return f"{parent}{tags}, one of the {parent_kind}, has a {leaf} already"
        return None

    def _leaves_of(self, bucket: str, kind: Kind) -> tuple[str, ...]:
        own = self.leaves.get(kind, ())
        return own + histogram_leaves(bins_for(bucket, self.histograms)) if kind is Kind.TIMER else own


def conflict_in_plain(
    prefix: str, health_prefix: str, percentiles: Sequence[float], histograms: Sequence[HistogramBins] = ()
) -> PlainConflicts:
    """Return the rule for new buckets in a `plain` namespace."""
    leaves_of = {
        Kind.COUNTER: COUNTER_LEAVES,
        Kind.TIMER: ("count", "rate", *leaves(percentiles)),
        Kind.SET: SET_LEAVES,
    }
    return PlainConflicts(_below(prefix, health_prefix), leaves_of, histograms)


def _parents(path: str) -> Iterator[tuple[str, str]]:
    """Yield how a path may be a bucket and its leaf: leaves have one part, those of histograms two."""
    parent, _, leaf = path.rpartition(".")
    yield parent, leaf
    timer, mark, bin_leaf = path.rpartition(".histogram.")
    if mark:
        yield timer, f"histogram.{bin_leaf}"


def _plural(kind: Kind | None) -> str:
    return Kind.GAUGE if kind is Kind.DATED else str(kind)


def _split_tags(bucket: str) -> tuple[str, str]:
    """Return the path of a bucket, and its tags with the `;` before them."""
    path, mark, tags = bucket.partition(";")
    return path, mark + tags


def _below(prefix: str, name: str) -> str:
    """Return which bucket has the name `name` under `prefix`; empty if none has."""
    start = _dotted(prefix)
    return name.removeprefix(start) if name.startswith(start) else ""


def _dotted(*parts: str) -> str:
    return "".join(f"{part}." for part in parts if part)
