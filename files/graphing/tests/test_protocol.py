"""StatsD lines: what is taken, what is refused, and why."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphing.statsd.protocol import BadLine, Kind, Metric, parse, read_number


def metrics(datagram):
    good, bad = parse(datagram)
    assert bad == []
    return good


def reasons(datagram):
    good, bad = parse(datagram)
    assert good == []
    return [line.reason for line in bad]


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (b"a:1|c", Metric("a", Kind.COUNTER, 1)),
        (b"a:-2.5e1|c", Metric("a", Kind.COUNTER, -25)),
        (b"a:1|c|@0.1", Metric("a", Kind.COUNTER, 1, rate=0.1)),
        (b"a:320|ms", Metric("a", Kind.TIMER, 320)),
        (b"a:-1|ms", Metric("a", Kind.TIMER, -1)),
        (b"a:.5|h", Metric("a", Kind.TIMER, 0.5)),
        (b"a:5.|d", Metric("a", Kind.TIMER, 5)),
        (b"a:5|m|@1", Metric("a", Kind.TIMER, 5)),
        (b"a:7|g", Metric("a", Kind.GAUGE, 7)),
        (b"a:+7|g", Metric("a", Kind.GAUGE, 7, delta=True)),
        (b"a:-7|g", Metric("a", Kind.GAUGE, -7, delta=True)),
        (b"a:7|g|@0.5", Metric("a", Kind.GAUGE, 7)),
        (b"a:user 1|s", Metric("a", Kind.SET, member="user 1")),
        (b"a:|s", Metric("a", Kind.SET, member="")),
        (b"a: 1 | c ", Metric("a", Kind.COUNTER, 1)),
        (b"a b/c:1|c\r\n", Metric("a_b-c", Kind.COUNTER, 1)),
        (b"a:1|c|#host:web1,zone:2", Metric("a", Kind.COUNTER, 1)),
        (b"a:1|c|@0.5|#host:web1", Metric("a", Kind.COUNTER, 1, rate=0.5)),
        (b"a:1|c|#host:web1|@0.5", Metric("a", Kind.COUNTER, 1, rate=0.5)),
        (b"constructor:1|c", Metric("constructor", Kind.COUNTER, 1)),
    ],
)
def test_a_good_line_gives_its_metric(datagram, expected):
    assert metrics(datagram) == [expected]


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"a", "no value"),
        (b"a:1", "no type"),
        (b"a:", "no type"),
        (b"a:|c", "value is not a number"),
        (b"a:|ms", "value is not a number"),
        (b"a:x|g", "value is not a number"),
        (b"a:+-1|g", "value is not a number"),
        (b"a:inf|c", "value is not a number"),
        (b"a:Infinity|c", "value is not a number"),
        (b"a:nan|g", "value is not a number"),
        (b"a:1e999|c", "value is not a number"),
        (b"a:0x10|c", "value is not a number"),
        (b"a:1_000|c", "value is not a number"),
        (b"a:1\xa0|c", "value is not a number"),
        (b"a:1|", "unknown type"),
        (b"a:1|kv", "unknown type"),
        (b"a:1|C", "unknown type"),
        (b"a:1|zz", "unknown type"),
        (b"a:1|c|", "unknown field after the type"),
        (b"a:1|c|0.1", "unknown field after the type"),
        (b"a:1|c|@0.1|x", "unknown field after the type"),
        (b"a:1|c|@", "rate is not a number"),
        (b"a:1|c|@x", "rate is not a number"),
        (b"a:1|c|@nan", "rate is not a number"),
        (b"a:1|c|@inf", "rate is not a number"),
        (b"a:1|c|@0x1", "rate is not a number"),
        (b"a:1|c|@0", "rate is not above 0 and up to 1"),
        (b"a:1|c|@-1", "rate is not above 0 and up to 1"),
        (b"a:1|c|@1.1", "rate is not above 0 and up to 1"),
        (b"a:1|g|@2", "rate is not above 0 and up to 1"),
        (b"a:1|ms|@1e-320", "rate is not above 0 and up to 1"),
        (b"a:1e308|c|@0.01", "value too large for its rate"),
        (b":1|c", "empty name"),
        (b"\xff:1|c", "empty name"),
        (b"..:1|c", "name with an empty part"),
        (b"../../etc:1|c", "name with an empty part"),
        (b"x" * 300 + b":1|c", "name too long"),
        (b"_e{5,4}:title|text", "unknown type"),
    ],
)
def test_a_bad_line_is_refused_with_a_reason(datagram, reason):
    assert reasons(datagram) == [reason]


def test_several_values_share_a_bucket_and_a_bad_one_leaves_the_others():
    good, bad = parse(b"s:1|c:2|c:x|c:3|ms")
    assert good == [Metric("s", Kind.COUNTER, 1), Metric("s", Kind.COUNTER, 2), Metric("s", Kind.TIMER, 3)]
    assert bad == [BadLine("s:1|c:2|c:x|c:3|ms", "value is not a number")]


def test_a_bad_line_leaves_its_neighbours():
    good, bad = parse(b"a:1|c\nrubbish\nb:1|c")
    assert [metric.bucket for metric in good] == ["a", "b"]
    assert bad == [BadLine("rubbish", "no value")]


@pytest.mark.parametrize("datagram", [b"", b"\n", b"\r\n \n", b"a:1|c\n", b"\na:1|c\r\n\r\n"])
def test_empty_lines_are_nothing(datagram):
    assert len(metrics(datagram)) == datagram.count(b"c")


def test_sets_tell_strings_apart_that_are_not_ascii():
    first, second = metrics("a:caf\u00e9|s\na:caf\u00e8|s".encode())
    assert first.member != second.member


EVERY_LINE = [
    b"%s:%s|%s%s" % parts
    for parts in itertools.product(
        [b"a", b"b.c", b"c d", b"e", b"..", b""],
        [b"1", b"-2", b"+3", b"4.5", b"x", b"", b"nan", b"1_0", b"1|c:2"],
        [b"c", b"ms", b"g", b"s", b"h", b"zz", b""],
        [b"", b"|@0.5", b"|@0.25|#t:1", b"|@2", b"\r", b"\xff"],
    )
]
_LINES = st.sampled_from(EVERY_LINE)
DATAGRAMS = st.binary(max_size=60) | st.lists(_LINES, max_size=8).map(b"\n".join)
"""Mostly good lines for few buckets, so that they meet; and anything at all."""


@given(DATAGRAMS)
@example(b"a:1|c|@5e-324")
def test_no_bytes_raise(datagram):
    parse(datagram)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_read_exactly(value):
    assert read_number(repr(value)) == value
