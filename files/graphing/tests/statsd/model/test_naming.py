"""Names of buckets with tags, and which buckets can't stand side by side in `plain`."""

import math

import pytest

from graphing.statsd.model.naming import Affixes, conflict_in_plain, plain
from graphing.statsd.model.numbers import measurements
from graphing.statsd.model.protocol import Kind
from graphing.statsd.model.reference import Interval
from graphing.statsd.settings import Histogram, StatsdSection


@pytest.mark.parametrize(
    ("bucket", "leaf", "name"),
    [
        ("a.b", "", "s.a.b.z"),
        ("a.b", "mean", "s.a.b.mean.z"),
        ("a.b;host=w", "", "s.a.b.z;host=w"),
        ("a.b;host=w.x;os=y", "mean", "s.a.b.mean.z;host=w.x;os=y"),
    ],
)
def test_leaf_and_suffix_stand_before_the_tags(bucket, leaf, name):
    assert Affixes("s.", ".z")(bucket, leaf) == name


def test_every_name_of_a_tagged_bucket_keeps_its_tags_at_the_end():
    for settings in (StatsdSection(), StatsdSection(namespace="etsy", suffix="z"), StatsdSection(namespace="legacy")):
        naming = settings.naming()
        made = [
            naming.counter_count("a;b=c"),
            naming.counter_rate("a;b=c"),
            naming.timer("a;b=c", "mean"),
            naming.gauge("a;b=c"),
            naming.set("a;b=c"),
            naming.value("a;b=c"),
        ]
        assert all(name.startswith("stats") and name.endswith(";b=c") and name.count(";") == 1 for name in made)
    assert plain("", "statsd", True).counter_count("a;b=c") == "a.count;b=c"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "stats.v"),
        ({"prefix": ""}, "v"),
        ({"namespace": "etsy", "prefix": "x", "suffix": "z"}, "x.kv.v.z"),
        ({"namespace": "etsy", "prefix": ""}, "kv.v"),
        ({"namespace": "legacy", "suffix": "z"}, "stats.kv.v.z"),
    ],
)
def test_a_value_is_named_as_its_bucket_and_beside_the_other_kinds_where_kinds_are_in_names(settings, name):
    assert StatsdSection(**settings).naming().value("v") == name


@pytest.mark.parametrize(
    ("settings", "name"),
    [({}, "stats.g"), ({"namespace": "etsy"}, "stats.gauges.g"), ({"namespace": "legacy"}, "stats.gauges.g")],
)
def test_a_dated_value_of_a_gauge_is_called_as_the_gauge_is(settings, name):
    interval = Interval(gauges={"g": 7}, dated={"g": [(2, 1700000000)]})
    assert list(measurements(interval, StatsdSection(**settings).naming(), (), 10)) == [
        (name, 7, 0),
        (name, 2, 1700000000),
    ]


def conflict(interval, bucket, kind):
    histograms = (Histogram("", (10, 0.5, math.inf)),)
    return conflict_in_plain("stats", "stats.own", (90, -10), histograms)(interval, bucket, kind)


@pytest.mark.parametrize(
    ("interval", "bucket", "kind", "reason"),
    [
        (Interval(values={"a": []}), "a", Kind.GAUGE, "it is one of the values, not of the gauges"),
        (Interval(counters={"a": 1}), "a", Kind.VALUE, "it is one of the counters, not of the values"),
        (Interval(counters={"a": 1}), "a.count", Kind.VALUE, "a, one of the counters, has a count already"),
        (Interval(values={"a.count": []}), "a", Kind.COUNTER, "a.count is one of the values"),
        (Interval(gauges={"a.upper_90": 1}), "a", Kind.TIMER, "a.upper_90 is one of the gauges"),
        (Interval(sets={"a": set()}), "a.unique", Kind.GAUGE, "a, one of the sets, has a unique already"),
        (Interval(values={"a": []}), "a.count", Kind.GAUGE, None),
        (Interval(gauges={"a": 1}), "a.count", Kind.VALUE, None),
        (Interval(counters={"a": 1}), "a.rate.count", Kind.GAUGE, None),
        # Dated values are the gauge's.
        (Interval(gauges={"a": 1}), "a", Kind.DATED, None),
        (Interval(dated={"a": []}), "a", Kind.GAUGE, None),
        (Interval(dated={"a": []}), "a", Kind.VALUE, "it is one of the gauges, not of the values"),
        (Interval(sets={"a": set()}), "a", Kind.DATED, "it is one of the sets, not of the gauges"),
        (Interval(dated={"a.count": []}), "a", Kind.COUNTER, "a.count is one of the gauges"),
        (Interval(counters={"a": 1}), "a.count", Kind.DATED, "a, one of the counters, has a count already"),
        # Tags are part of the bucket.
        (Interval(counters={"a;t=1": 1}), "a;t=1", Kind.GAUGE, "it is one of the counters, not of the gauges"),
        (Interval(counters={"a;t=1": 1}), "a;t=2", Kind.GAUGE, None),
        (Interval(counters={"a;t=1": 1}), "a", Kind.GAUGE, None),
        (Interval(counters={"a;t=1": 1}), "a.count;t=1", Kind.GAUGE, "a;t=1, one of the counters, has a count already"),
        (Interval(counters={"a;t=1": 1}), "a.count;t=2", Kind.GAUGE, None),
        (Interval(counters={"a;t=1": 1}), "a.count", Kind.GAUGE, None),
        (Interval(gauges={"a.rate;t=1": 1}), "a;t=1", Kind.COUNTER, "a.rate;t=1 is one of the gauges"),
        (Interval(gauges={"a.rate;t=1": 1}), "a;t=2", Kind.COUNTER, None),
        # The aggregator's own folder.
        (Interval(), "own", Kind.VALUE, "its name is kept for the aggregator's own metrics"),
        (Interval(), "own.lag;t=1", Kind.GAUGE, "its name is kept for the aggregator's own metrics"),
        (Interval(), "own;t=1", Kind.COUNTER, "its name is kept for the aggregator's own metrics"),
        (Interval(), "owner", Kind.GAUGE, None),
        # Histograms have leaves of two parts.
        (Interval(timers={"a": []}), "a.histogram.bin_10", Kind.GAUGE,
         "a, one of the timers, has a histogram.bin_10 already"),
        (Interval(gauges={"a.histogram.bin_0_5": 1}), "a", Kind.TIMER, "a.histogram.bin_0_5 is one of the gauges"),
        (Interval(values={"a.histogram.bin_inf;t=1": []}), "a;t=1", Kind.TIMER,
         "a.histogram.bin_inf;t=1 is one of the values"),
        (Interval(timers={"a": []}), "a.histogram.bin_11", Kind.GAUGE, None),
        (Interval(counters={"a": 1}), "a.histogram.bin_10", Kind.GAUGE, None),
    ],
)  # fmt: skip
def test_a_bucket_that_would_share_a_name_is_refused_with_a_reason(interval, bucket, kind, reason):
    assert conflict(interval, bucket, kind) == reason
