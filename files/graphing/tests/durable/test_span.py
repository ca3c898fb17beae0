"""Spans are sets of records."""

from hypothesis import given
from hypothesis import strategies as st

from graphing.durable.span import Position, Span, merged, without


def test_spans_are_merged_and_subtracted():
    at = [Position(offset, offset // 10) for offset in range(0, 100, 10)]

    def span(start, end):
        return Span(at[start], at[end])

    assert merged([span(5, 6), span(1, 3), span(2, 4), span(7, 7), span(6, 8)]) == [span(1, 4), span(5, 8)]
    assert without([span(1, 8)], [span(2, 3), span(5, 6)]) == [span(1, 2), span(3, 5), span(6, 8)]
    assert without([span(1, 3), span(4, 6)], [span(0, 5)]) == [span(5, 6)]
    assert without([span(1, 3)], [span(0, 9)]) == []
    assert without([span(1, 3)], [span(3, 9), span(0, 1)]) == [span(1, 3)]


OFFSETS = st.sets(st.integers(0, 30), min_size=2, max_size=2).map(sorted)


@given(st.lists(OFFSETS, max_size=6), st.lists(OFFSETS, max_size=6))
def test_spans_are_sets(ones, others):
    def spans(pairs):
        return [Span(Position(start, start), Position(end, end)) for start, end in pairs]

    def members(found):
        return {offset for span in found for offset in range(span.start.offset, span.end.offset)}

    assert members(merged(spans(ones))) == members(spans(ones))
    assert sum(span.lines for span in merged(spans(ones))) == len(members(spans(ones)))
    assert members(without(spans(ones), spans(others))) == members(spans(ones)) - members(spans(others))
