"""Statistics and histograms of a timer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphing.statsd.model.timers import bins_for, histogram, percentile_suffix, summary
from graphing.statsd.settings import Histogram


def test_half_a_value_counts_as_one():
    # 2.5 of 5: Python's round() would keep 2.
    assert dict(summary([1, 2, 3, 4, 5], (50,)))["count_50"] == 3


def test_a_percentile_of_nothing_is_left_out_and_one_value_is_kept_whole():
    assert "count_10" not in dict(summary([1, 2, 3], (10,)))
    assert dict(summary([7], (10, -1)))["upper_10"] == 7
    assert dict(summary([7], (10, -1)))["lower_top1"] == 7


@pytest.mark.parametrize("values", [[1e308, 1e308], [1e200], [-1e308, 1e308, 1e308, -1e308]])
def test_sums_that_overflow_are_infinite_and_raise_nothing(values):
    assert dict(summary(values, (90, -10)))["sum_squares"] == math.inf


@pytest.mark.parametrize(
    ("percentile", "suffix"),
    [(90, "90"), (90.0, "90"), (99.9, "99_9"), (-10, "top10"), (-0.5, "top0_5"), (0.001, "0_001")],
)
def test_percentiles_in_names(percentile, suffix):
    assert percentile_suffix(percentile) == suffix


@pytest.mark.parametrize(
    ("bins", "expected"),
    [
        ((10, 100, math.inf), {"bin_10": 2, "bin_100": 2, "bin_inf": 3}),
        ((10, 100), {"bin_10": 2, "bin_100": 2}),
        ((0.5, 9.5), {"bin_0_5": 1, "bin_9_5": 1}),
        ((-1, 1e6), {"bin_-1": 0, "bin_1000000": 7}),
        # etsy/statsd goes through bins as they are given: one that is not above the last stays empty.
        ((100, 10, math.inf), {"bin_100": 4, "bin_10": 0, "bin_inf": 3}),
        ((math.inf, 10), {"bin_inf": 7, "bin_10": 0}),
        ((), {}),
    ],
)
def test_a_histogram_counts_the_values_below_each_bound(bins, expected):
    got = dict(histogram([100, 0, 9, 99, 10, 1000, 100], bins))
    assert got == {f"histogram.{leaf}": count for leaf, count in expected.items()}


def test_the_first_histogram_whose_match_is_in_the_bucket_counts():
    histograms = (Histogram("api", (1, 2)), Histogram("batch", ()), Histogram("", (3,)))
    assert bins_for("my.api.t", histograms) == (1, 2)
    assert bins_for("batch.t", histograms) == ()
    assert bins_for("t;host=api", histograms) == (1, 2)
    assert bins_for("t", histograms) == (3,)
    assert bins_for("t", ()) == ()


_FLOATS = st.floats(-1e6, 1e6)


@given(st.lists(_FLOATS, min_size=1, max_size=40), st.sampled_from([0.5, 10, 50, 90, 99.9]))
def test_statistics_stay_within_the_values(values, percentile):
    got = dict(summary(values, (percentile, -percentile)))
    assert got["lower"] == min(values)
    assert got["upper"] == max(values)
    assert got["lower"] <= got["median"] <= got["upper"]
    assert got["sum"] == math.fsum(values)
    assert got["std"] >= 0
    suffix = percentile_suffix(percentile)
    if f"count_{suffix}" in got:
        kept = int(got[f"count_{suffix}"])
        assert got[f"upper_{suffix}"] == sorted(values)[kept - 1]
        assert got[f"lower_top{suffix}"] == sorted(values)[-kept]


@given(st.lists(_FLOATS, min_size=1, max_size=20).flatmap(lambda v: st.tuples(st.just(v), st.permutations(v))))
def test_statistics_do_not_depend_on_the_order(orders):
    assert dict(summary(orders[0], (90, -10))) == dict(summary(orders[1], (90, -10)))


_BOUNDS = st.lists(_FLOATS, unique=True, max_size=6).map(sorted)


@given(st.lists(_FLOATS, max_size=40), _BOUNDS)
def test_every_value_is_in_one_bin(values, bounds):
    counts = [count for _, count in histogram(values, [*bounds, math.inf])]
    assert sum(counts) == len(values)
    for bound, upto in zip(bounds, range(1, len(counts)), strict=False):
        assert sum(counts[:upto]) == sum(value < bound for value in values)
