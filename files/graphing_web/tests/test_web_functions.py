"""Functions of graphite-web over gaps."""

from __future__ import annotations

from typing import Any

from graphite.render import functions as own

from graphing_web import functions


class Series(list[Any]):
    """As graphite-web's, which is not here."""

    def copy(self, values: list[Any] | None = None) -> Series:
        return Series(self if values is None else values)


def test_a_gap_is_no_step() -> None:
    assert own._nonNegativeDelta(None, 3, None, None) == (None, None)
    assert own._nonNegativeDelta(5, 3, None, None) == (2, 5)


def test_a_series_without_points_has_no_average() -> None:
    full, empty = Series([1, None]), Series([None, None])
    assert functions.average_outside_percentile({}, [full, empty], 10) == [full]


def test_a_gap_is_neither_between_the_percentiles_nor_outside() -> None:
    low, high = Series([1, 1]), Series([3, None])
    between, gap = Series([2, None]), Series([None, None])
    assert functions.remove_between_percentile({}, [low, between, high, gap], 30) == [low, high]


def test_points_are_compared_without_the_gaps() -> None:
    assert functions.use_series_above({}, [Series([1, None, 3]), Series([None])], 2, "a", "b") == [Series([1, 3])]


def test_those_that_graphite_web_takes_have_its_names() -> None:
    assert all(hasattr(own, name) for name in functions.SeriesFunctions)
