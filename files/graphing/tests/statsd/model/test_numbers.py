"""What reaches Graphite: names and numbers of the three namespaces."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphing.core.line import is_legal_name, is_legal_series
from graphing.statsd.model.health import Counted, Levels, health
from graphing.statsd.model.numbers import measurements
from graphing.statsd.model.protocol import Kind, parse
from graphing.statsd.model.reference import Engine, Interval
from graphing.statsd.settings import Histogram, StatsdSection

TYPES = set(Kind) | {"kv", "ms", "c", "g", "counter", "timer", "gauge", "set"}


def flushed(lines, seconds=10, **settings):
    statsd = StatsdSection(**settings)
    engine = Engine(statsd.rules())
    engine.feed(lines.encode())
    assert engine.collect_outcome().complaints == []
    return unstamped(
        measurements(engine.end_interval(), statsd.naming(), statsd.percentiles, seconds, statsd.histograms)
    )


def unstamped(triples):
    """Return {name: number}; each name once, each with the flush's own stamp."""
    triples = list(triples)
    got = {name: number for name, number, _ in triples}
    assert len(got) == len(triples)
    assert {stamp for _, _, stamp in triples} <= {0}
    return got


def stamped(interval, **settings):
    statsd = StatsdSection(**settings)
    return list(measurements(interval, statsd.naming(), statsd.percentiles, 10))


def own(seconds=10, **settings):
    counted = Counted(packets=20, refused=3, lines_replayed=4, resumed=5)
    levels = Levels(buckets=3, lag=0.5, flush_duration=0.25, memory_rss=4096, lines_queued=9, journal_bytes=8192)
    return unstamped(health(StatsdSection(**settings).naming(), seconds, counted, levels))


ONE_TO_TEN = "\n".join(f"t:{value}|ms" for value in (10, 1, 9, 2, 8, 3, 7, 4, 6, 5))


def test_one_to_ten_as_observed_with_etsy():
    got = flushed(ONE_TO_TEN, percentiles=(90, -10, 99.9, 50))
    expected = {
        "count": 10, "rate": 1, "sum": 55, "sum_squares": 385, "mean": 5.5, "median": 5.5,
        "lower": 1, "upper": 10, "std": 2.8722813232690143,
        "count_90": 9, "mean_90": 5, "upper_90": 9, "sum_90": 45, "sum_squares_90": 285,
        "count_top10": 1, "mean_top10": 10, "lower_top10": 10, "sum_top10": 10, "sum_squares_top10": 100,
        "count_99_9": 10, "mean_99_9": 5.5, "upper_99_9": 10, "sum_99_9": 55, "sum_squares_99_9": 385,
        "count_50": 5, "mean_50": 3, "upper_50": 5, "sum_50": 15, "sum_squares_50": 55,
    }  # fmt: skip
    assert got == {f"stats.t.{leaf}": value for leaf, value in expected.items()}


def test_a_sampled_timer_as_observed_with_etsy():
    got = flushed("t:320|ms\nt:100|ms|@0.1\nt:50|ms", seconds=2, namespace="etsy")
    expected = {
        "count": 12, "count_ps": 6, "sum": 470, "mean": 156.66666666666666, "std": 117.28408057172787,
        "median": 100, "count_90": 3,
    }  # fmt: skip
    assert {leaf: got[f"stats.timers.t.{leaf}"] for leaf in expected} == expected


def test_values_are_sent_one_by_one_with_their_own_time_or_the_flushs():
    interval = Interval(values={"v": [(3.0, 1_700_000_000), (4.0, 0)], "w;a=b": [(5.0, 0)]})
    assert stamped(interval) == [("stats.v", 3, 1_700_000_000), ("stats.v", 4, 0), ("stats.w;a=b", 5, 0)]
    assert stamped(interval, namespace="etsy", suffix="z")[0] == ("stats.kv.v.z", 3, 1_700_000_000)
    assert stamped(interval, namespace="legacy")[2] == ("stats.kv.w;a=b", 5, 0)


@pytest.mark.parametrize("namespace", ["plain", "etsy"])
def test_the_first_histogram_that_matches_a_timer_gives_its_bins(namespace):
    got = flushed(
        "api.t:1|ms\napi.t:10|ms|@0.1\napi.t:99|ms\nbatch.t:1|ms\nother:1|ms",
        namespace=namespace,
        prefix="s",
        prefix_timer="",
        percentiles=(),
        histograms=(Histogram("api", (10, 100)), Histogram("batch", ()), Histogram("t", (10,))),
    )
    assert {name: number for name, number in got.items() if ".histogram." in name} == {
        "s.api.t.histogram.bin_10": 1,
        "s.api.t.histogram.bin_100": 2,
        "s.other.histogram.bin_10": 1,
    }


ALL_KINDS = "c:20|c\nt:5|ms\ng:1.5|g\ns:x|s\ns:y|s"


def test_plain_keeps_types_out_of_names():
    got = flushed(ALL_KINDS, percentiles=())
    assert got["stats.c.count"] == 20
    assert got["stats.c.rate"] == 2
    assert got["stats.t.count"] == 1
    assert got["stats.t.rate"] == 0.1
    assert got["stats.g"] == 1.5
    assert got["stats.s.unique"] == 2
    assert not {part for name in got for part in name.split(".")[2:]} & TYPES


def test_plain_without_a_prefix():
    assert {"c.count", "c.rate", "g"} <= flushed(ALL_KINDS, prefix="").keys()


def test_etsy_names():
    got = flushed(ALL_KINDS, namespace="etsy", percentiles=())
    assert got["stats.counters.c.count"] == 20
    assert got["stats.counters.c.rate"] == 2
    assert got["stats.timers.t.count_ps"] == 0.1
    assert got["stats.timers.t.mean"] == 5
    assert got["stats.gauges.g"] == 1.5
    assert got["stats.sets.s.count"] == 2


def test_etsy_prefixes_and_suffix_are_settings_and_an_empty_one_drops_its_segment():
    got = flushed(ALL_KINDS, namespace="etsy", prefix="my.app", prefix_counter="", prefix_gauge="levels", suffix="web1")
    assert {"my.app.c.count.web1", "my.app.levels.g.web1", "my.app.timers.t.mean.web1"} <= got.keys()
    assert "counters.c.count" in flushed(ALL_KINDS, namespace="etsy", prefix="")


def test_legacy_names():
    got = flushed(ALL_KINDS, namespace="legacy", percentiles=(), suffix="z")
    assert got["stats_counts.c.z"] == 20
    assert got["stats.c.z"] == 2
    assert got["stats.timers.t.count_ps.z"] == 0.1
    assert got["stats.gauges.g.z"] == 1.5
    assert got["stats.sets.s.count.z"] == 2


@pytest.mark.parametrize("namespace", ["plain", "etsy", "legacy"])
def test_counts_can_be_left_out(namespace):
    got = flushed("c:20|c", namespace=namespace, flush_counts=False)
    assert list(got.values()) == [2]


@pytest.mark.parametrize(("namespace", "rate"), [("plain", "rate"), ("etsy", "count_ps")])
def test_an_idle_timer_has_a_count_and_a_rate_only(namespace, rate):
    statsd = StatsdSection(namespace=namespace)
    engine = Engine(statsd.rules())
    engine.feed(b"t:1|ms")
    engine.end_interval()
    got = unstamped(measurements(engine.end_interval(), statsd.naming(), (90,), 10, (Histogram("", (10,)),)))
    assert {name.rpartition(".")[2]: value for name, value in got.items()} == {"count": 0, rate: 0}


def test_own_metrics_in_plain():
    got = own()
    assert set(got) == {
        "statsd.packets.count",
        "statsd.metrics.count",
        "statsd.bad_lines.count",
        "statsd.type_conflicts.count",
        "statsd.refused.count",
        "statsd.resumed.count",
        "statsd.kernel_drops.count",
        "statsd.lines.sent.count",
        "statsd.lines.replayed.count",
        "statsd.lines.dropped.count",
        "statsd.lines.not_finite.count",
        "statsd.lines.queued",
        "statsd.buckets",
        "statsd.lag",
        "statsd.flush.duration",
        "statsd.memory.rss",
        "statsd.journal.bytes",
    }
    assert got["statsd.packets.count"] == 20
    assert got["statsd.refused.count"] == 3
    assert got["statsd.lines.replayed.count"] == 4
    assert got["statsd.resumed.count"] == 5
    assert got["statsd.journal.bytes"] == 8192
    assert not {part for name in got for part in name.split(".")} & TYPES


def test_own_metrics_in_etsys_namespaces_are_where_etsy_has_them():
    etsy = own(namespace="etsy")
    assert etsy["stats.counters.statsd.packets_received.count"] == 20
    assert etsy["stats.counters.statsd.packets_received.rate"] == 2
    assert etsy["stats.statsd.numStats"] == 3
    assert etsy["stats.statsd.lag"] == 0.5
    legacy = own(namespace="legacy", health_prefix="me")
    assert legacy["stats_counts.me.packets_received"] == 20
    assert legacy["stats.me.packets_received"] == 2
    assert legacy["me.numStats"] == 3
    assert legacy["stats.me.lag"] == 0.5


_NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(repr)
_NAMES = st.text(st.sampled_from("ab._-/ ;=,\xe9%0"), min_size=1, max_size=12)
_LINES = st.tuples(_NAMES, _NUMBERS, st.sampled_from(["c", "ms", "g", "s", "kv", "c|@0.1", "ms|#a:b", "g|#c"]))


@given(st.lists(_LINES, max_size=20), st.sampled_from(["plain", "etsy", "legacy"]), st.booleans())
def test_every_name_is_legal_and_none_is_made_twice(parts, namespace, tags):
    bins = (Histogram("", (0.5, 10, float("inf"))),)
    statsd = StatsdSection(namespace=namespace, percentiles=(90, -10, 99.9), histograms=bins)
    engine = Engine(statsd.rules())
    for name, value, rest in parts:
        for metric in parse(f"{name}:{value}|{rest}".encode("latin-1"), tags)[0]:
            engine.add(metric)
    interval = engine.end_interval()
    for values in interval.values.values():
        # Each is sent, and Graphite keeps the last.
        del values[:-1]
    triples = measurements(interval, statsd.naming(), statsd.percentiles, 10, statsd.histograms)
    made = [name for name, _, _ in triples]
    for name in made:
        assert is_legal_series(name) if tags else is_legal_name(name)
        assert re.fullmatch(r"stats(_counts)?(\.[A-Za-z0-9_-]+)+(;[^;]+)*", name)
    if namespace == "plain":
        assert len(set(made)) == len(made)
