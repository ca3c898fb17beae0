"""Places between records and what lies between two of them, counted in bytes and in lines."""

import bisect
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Position(NamedTuple):
    """A place between two records: the bytes and the lines of all records before it."""

    offset: int
    lines: int


class Span(NamedTuple):
    """The records from one position to another."""

    start: Position
    end: Position

    @property
    def lines(self) -> int:
        """How many lines it holds."""
        return self.end.lines - self.start.lines


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the same records as few spans, ascending, without empty ones."""
    result: list[Span] = []
    for span in sorted(span for span in spans if span.start.offset < span.end.offset):
        if result and span.start.offset <= result[-1].end.offset:
            result[-1] = Span(result[-1].start, max(result[-1].end, span.end))
        else:
            result.append(span)
    return result


def without(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return what is in `spans` and not in `others`, as `merged` does."""
    left = merged(spans)
    for other in others:
        left = merged(part for span in left for part in _pieces(span, other))
    return left


def _pieces(span: Span, other: Span) -> Iterator[Span]:
    yield Span(span.start, max(span.start, min(span.end, other.start)))
    yield Span(min(span.end, max(span.start, other.end)), span.end)


def is_in(record: Span, spans: list[Span]) -> bool:
    """Tell whether a record lies in one of some ascending spans."""
    index = bisect.bisect_right(spans, record.start.offset, key=lambda span: span.start.offset)
    return index > 0 and record.start.offset < spans[index - 1].end.offset
