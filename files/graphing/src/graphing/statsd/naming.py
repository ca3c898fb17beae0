"""Names of the three namespaces: how a bucket of a kind is called in Graphite. Pure.

`plain` keeps the kinds out of the names; `etsy` and `legacy` are etsy/statsd's two, for dashboards
that were made for them. In `plain` two buckets could meet in one name, which `conflict_in_plain`
prevents. In the others that takes a bucket such as `timers.x` in `legacy` or an emptied prefix in
`etsy`; there, as with etsy/statsd, the last line of a flush wins.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from graphing.statsd.aggregate import Interval
from graphing.statsd.protocol import Kind
from graphing.statsd.timers import leaves

COUNTER_LEAVES = ("count", "rate")
SET_LEAVES = ("unique",)


@dataclass(frozen=True, slots=True)
class Affixes:
    """What stands before and after a bucket in a name."""

    before: str
    after: str

    def __call__(self, middle: str) -> str:
        """Return the name of a bucket."""
        return f"{self.before}{middle}{self.after}"


@dataclass(frozen=True, slots=True)
class Naming:
    """One namespace. A name is made by calling an attribute with the bucket."""

    counter_count: Affixes | None
    """None: counts are not wanted, only rates."""
    counter_rate: Affixes
    timer: Affixes
    """Called with `bucket.leaf`."""
    timer_rate_leaf: str
    gauge: Affixes
    set: Affixes
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
        health=health,
    )


def etsy(prefix: str, suffix: str, prefixes: dict[Kind, str], health_prefix: str, flush_counts: bool) -> Naming:
    """Return etsy/statsd's namespace with `legacyNamespace: false`; an empty prefix drops its segment."""
    before = {kind: _dotted(prefix, prefixes[kind]) for kind in Kind}
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


def conflict_in_plain(
    prefix: str, health_prefix: str, percentiles: Sequence[float]
) -> Callable[[Interval, str, Kind], str | None]:
    """Return the rule for new buckets in `plain`: one kind per bucket, one bucket per name."""
    given = {
        Kind.COUNTER: frozenset(COUNTER_LEAVES),
        Kind.TIMER: frozenset(("count", "rate", *leaves(percentiles))),
        Kind.SET: frozenset(SET_LEAVES),
    }
    reserved = _below(prefix, health_prefix)

    def conflict(interval: Interval, bucket: str, kind: Kind) -> str | None:
        known = interval.kind_of(bucket)
        if known:
            return f"it is one of the {known}, not of the {kind}"
        if reserved and f"{bucket}.".startswith(f"{reserved}."):
            return "its name is kept for the aggregator's own metrics"
        # Only a gauge has a name without a leaf, so only a gauge can be called like another's leaf.
        if kind is not Kind.GAUGE:
            taken = next((leaf for leaf in given[kind] if f"{bucket}.{leaf}" in interval.gauges), None)
            return f"there is a gauge {bucket}.{taken}" if taken else None
        parent, _, leaf = bucket.rpartition(".")
        parent_kind = interval.kind_of(parent)
        if parent_kind and leaf in given.get(parent_kind, ()):
            return f"{parent}, one of the {parent_kind}, has a {leaf} already"
        return None

    return conflict


def _below(prefix: str, name: str) -> str:
    """Return which bucket has the name `name` under `prefix`; empty if none has."""
    start = _dotted(prefix)
    return name.removeprefix(start) if name.startswith(start) else ""


def _dotted(*parts: str) -> str:
    return "".join(f"{part}." for part in parts if part)
