"""Functions of graphite-web 1.1.8 and 1.1.10 that fail over gaps, mended: they draw what there is.

A plugin (FUNCTION_PLUGINS): what stands in SeriesFunctions takes the place of graphite-web's own.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from graphite.render import functions


def with_points(series_list: list[Any]) -> list[Any]:
    """Return those of the series that have a point at all."""
    return [series for series in series_list if any(value is not None for value in series)]


def delta_over_gaps(delta: Callable[..., Any]) -> Callable[..., Any]:
    """Let perSecond and nonNegativeDerivative take a step over a gap too: they compare it with their bounds."""

    @wraps(delta)
    def step(value: float | None, previous: float | None, maximum: float | None, minimum: float | None) -> Any:
        return (None, None) if value is None else delta(value, previous, maximum, minimum)

    return step


@wraps(functions.averageOutsidePercentile)
def average_outside_percentile(requestContext: Any, seriesList: Any, n: float) -> Any:  # noqa: N803  # as /functions shows it
    """Leave out series without points, which have no average."""
    return functions.averageOutsidePercentile(requestContext, with_points(seriesList), n)


@wraps(functions.removeBetweenPercentile)
def remove_between_percentile(requestContext: Any, seriesList: Any, n: float) -> Any:  # noqa: N803
    """Let a gap be neither between the percentiles nor outside."""
    high = max(n, 100 - n)
    columns = zip(*seriesList, strict=False)
    bounds = [
        (functions._getPercentile(column, 100 - high), functions._getPercentile(column, high)) for column in columns
    ]
    return [
        series
        for series in seriesList
        if any(value is not None and not low < value < top for value, (low, top) in zip(series, bounds, strict=False))
    ]


@wraps(functions.useSeriesAbove)
def use_series_above(requestContext: Any, seriesList: Any, value: float, search: str, replace: str) -> Any:  # noqa: N803
    """Compare the points that there are."""
    known = [series.copy(values=[point for point in series if point is not None]) for series in with_points(seriesList)]
    return functions.useSeriesAbove(requestContext, known, value, search, replace)


functions._nonNegativeDelta = delta_over_gaps(functions._nonNegativeDelta)
SeriesFunctions = {
    "averageOutsidePercentile": average_outside_percentile,
    "removeBetweenPercentile": remove_between_percentile,
    "useSeriesAbove": use_series_above,
}
