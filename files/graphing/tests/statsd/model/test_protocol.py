"""StatsD lines: what is taken, what is refused, and why."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from statsd_support import DATAGRAMS

from graphing.core.line import is_legal_name, is_legal_series
from graphing.statsd.model.protocol import (
    COLON_IN_NAME,
    COLON_IN_SET,
    DATED_CHANGE,
    DATED_COUNTER,
    DATED_OTHER,
    MIXED,
    PACKED,
    BadLine,
    Kind,
    Metric,
    parse,
    read_number,
)


def metrics(datagram, tags=False):
    good, bad = parse(datagram, tags)
    assert bad == []
    return good


def reasons(datagram, tags=False):
    good, bad = parse(datagram, tags)
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
        (b"_scan:1|c", Metric("_scan", Kind.COUNTER, 1)),
        (b"cpu,host=a,region=eu:1|c", Metric("cpu", Kind.COUNTER, 1)),
        (b"cpu load;host=a/b:1|c", Metric("cpu_load", Kind.COUNTER, 1)),
        (b"cpu,host;region=:1|c", Metric("cpu", Kind.COUNTER, 1)),
        (b"sum(a,b);x:1|c", Metric("sumabx", Kind.COUNTER, 1)),
        (b"a=b,c:1|c", Metric("abc", Kind.COUNTER, 1)),
        (b"a:1|c|c:ci-83f2/in-9", Metric("a", Kind.COUNTER, 1)),
        (b"a:1|c|@0.5|#b:c|c:ci-83f2|e:it-false,cn-a:b|card:low", Metric("a", Kind.COUNTER, 1, rate=0.5)),
        (b"a:1|c|c:83f2|@0.5|e:x|#b:c", Metric("a", Kind.COUNTER, 1, rate=0.5)),
        (b"a:-7.5|kv", Metric("a", Kind.VALUE, -7.5)),
        (b"a:7|kv|@1700000000\r", Metric("a", Kind.VALUE, 7, stamp=1_700_000_000)),
        (b"a:7|kv|@1", Metric("a", Kind.VALUE, 7, stamp=1)),
        (b"a:7|kv|@4102444800", Metric("a", Kind.VALUE, 7, stamp=4_102_444_800)),
        (b"a:2|g|T1700000000", Metric("a", Kind.DATED, 2, stamp=1_700_000_000)),
        (b"a: .5 |g|@0.5|#b:c|T1700000000|c:83f2\r", Metric("a", Kind.DATED, 0.5, stamp=1_700_000_000)),
        (b"a:2|g|T1700000000|@1", Metric("a", Kind.DATED, 2, stamp=1_700_000_000)),
        (b"visitors:2001:db8::7|s", Metric("visitors", Kind.SET, member="2001:db8::7")),
        (b"visitors:ann:|s|#b:c", Metric("visitors", Kind.SET, member="ann:")),
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
        (b"a:1|KV", "unknown type"),
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
        (b"a:x|kv", "value is not a number"),
        (b"a:1|kv|@0", "time is not a whole number of seconds since 1970"),
        (b"a:1|kv|@-1", "time is not a whole number of seconds since 1970"),
        (b"a:1|kv|@1.5", "time is not a whole number of seconds since 1970"),
        (b"a:1|kv|@", "time is not a whole number of seconds since 1970"),
        (b"a:1|kv|@\xb2", "time is not a whole number of seconds since 1970"),
        (b"a:1|kv|@4102444801", "time is not a whole number of seconds since 1970"),
        (b"a:1|kv|@1700000000000", "time is not a whole number of seconds since 1970"),
        (b"a:1|kv|1700000000", "unknown field after the type"),
        (b"a:1|kv|@1|@2", "unknown field after the type"),
        (b"a:1|c|T1656581400", DATED_COUNTER),
        (b"a:1|c|@0.5|T1656581400", DATED_COUNTER),
        (b"a:1|ms|#b:c|T1656581400", DATED_OTHER),
        (b"a:x|s|T1656581400", DATED_OTHER),
        (b"a:1|kv|T1656581400", DATED_OTHER),
        (b"a:+1|g|T1656581400", DATED_CHANGE),
        (b"a: -1|g|T1656581400", DATED_CHANGE),
        (b"a:1:+2|g|T1656581400", DATED_CHANGE),
        (b"a:1|g|T0", "time is not a whole number of seconds since 1970"),
        (b"a:1|g|T1656581400000", "time is not a whole number of seconds since 1970"),
        (b"a:1|g|T", "unknown field after the type"),
        (b"a:1|g|T1.5", "unknown field after the type"),
        (b"a:1|g|T1|T2", "unknown field after the type"),
        (b"a:1|g|T1|@2", "rate is not above 0 and up to 1"),
        (b"_e{5,4}:title|text", "event of DogStatsD, not a metric"),
        (b"_e{1,1}:1|c", "event of DogStatsD, not a metric"),
        (b"_sc|redis|2|#env:dev|m:down", "service check of DogStatsD, not a metric"),
        (b"_sc|redis|2", "service check of DogStatsD, not a metric"),
    ],
)
def test_a_bad_line_is_refused_with_a_reason(datagram, reason):
    assert reasons(datagram) == [reason]


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (b"s:1|c:2|c:3|ms", [("c", 1, 1), ("c", 2, 1), ("ms", 3, 1)]),
        (b"s:1|c|@0.5:2|c", [("c", 1, 0.5), ("c", 2, 1)]),
        (b"s:5|g:7|ms|@0.1", [("g", 5, 1), ("ms", 7, 0.1)]),
        (b"s:1:2|c|@0.5", [("c", 1, 0.5), ("c", 2, 0.5)]),
        (b"s:1:2:3|h", [("ms", 1, 1), ("ms", 2, 1), ("ms", 3, 1)]),
        (b"s: 1 : .5 | d |#a:b:c\r", [("ms", 1, 1), ("ms", 0.5, 1)]),
        (b"s:1:2|ms|c:abc", [("ms", 1, 1), ("ms", 2, 1)]),
        (b"s:1:2|c|c:5|@0.5|e:6:7|c", None),
        (b"s:1:2|c|@0.5|c:5|e:6:7", [("c", 1, 0.5), ("c", 2, 0.5)]),
        (b"s:3:5|g", [("g", 3, 1), ("g", 5, 1)]),
    ],
)
def test_several_values_share_a_bucket(datagram, expected):
    kinds = {"c": Kind.COUNTER, "ms": Kind.TIMER, "g": Kind.GAUGE}
    good, bad = parse(datagram)
    assert (len(good) > 0) != (len(bad) > 0)
    assert good == [Metric("s", kinds[kind], value, rate) for kind, value, rate in expected or ()]


def test_of_packed_gauges_each_counts_in_turn():
    assert metrics(b"s:5:+2:-1|g") == [
        Metric("s", Kind.GAUGE, 5),
        Metric("s", Kind.GAUGE, 2, delta=True),
        Metric("s", Kind.GAUGE, -1, delta=True),
    ]
    assert metrics(b"s:5:6|g|T9") == [Metric("s", Kind.DATED, 5, stamp=9), Metric("s", Kind.DATED, 6, stamp=9)]


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"a:1|cb:4|ms", "unknown type"),
        (b"x1:1|cx2:1|cx3:1|c", "unknown type"),
        (b"a:1|c:2|c:x|c:3|ms", "value is not a number"),
        (b"a:1|c:2|c:3|c|x", "unknown field after the type"),
        (b"a:1|c:2", "no type"),
        (b"a:1:2", "no type"),
        (b"a:1:2|zz", "unknown type"),
        (b"a:1:2|c|", "unknown field after the type"),
        (b"a:1:2|c:3|c", MIXED),
        (b"a:1|c:2:3|c", MIXED),
        (b"a:x|s:y:z|s", MIXED),
        (b"a:1:2|m", PACKED),
        (b"a:1:2|kv", PACKED),
        (b"a:1:2|kv|@9", PACKED),
        (b"a:1:x|c", "value is not a number"),
        (b"a:1::2|c", COLON_IN_NAME),
        (b"a:1_0:2|c", COLON_IN_NAME),
        (b"a:1e308:1|c|@0.01", "value too large for its rate"),
        (b"jobs.Acme::Mail.perform:20|ms", COLON_IN_NAME),
        (b"jobs.Acme::Mail.perform:20|m", COLON_IN_NAME),
        (b"jobs:mail:20|ms", COLON_IN_NAME),
        (b"jobs.Acme::Mail.level:20|g|#a:b|c:5", COLON_IN_NAME),
        (b"jobs.Acme::Mail.users:ann|s", COLON_IN_SET),
        (b"visitors::|s", COLON_IN_SET),
        (b"a:1:2|c:abc", MIXED),
    ],
)
@pytest.mark.parametrize("tags", [False, True])
def test_a_line_is_taken_whole_or_not_at_all(datagram, reason, tags):
    assert parse(datagram, tags) == ([], [BadLine(datagram.decode(), reason)])


_GLUED = st.sampled_from(
    [b"a.b:12.5|c|@0.5", b"a.b:1|ms|#x:y", b"a.b:3:4|h", b"a.b:7|g|T99", b"a.b:1|c|c:83f2", b"a.b:1|kv|@9"]
)


@given(_GLUED, _GLUED, st.data())
def test_a_line_that_is_broken_in_the_middle_counts_for_nobody(first, second, data):
    cut = data.draw(st.integers(4, len(first)))
    assert parse(first[:cut] + second)[0] == []


def test_a_second_value_is_no_container_id():
    assert [metric.value for metric in metrics(b"a:1|c:2|c:3|c|c:9")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("line", "bucket"),
    [
        (b"a:1|c", "a"),
        (b"a:1|c|#region:eu,host:b", "a;host=b;region=eu"),
        (b"a:1|c|@0.5|#region:eu", "a;region=eu"),
        (b"a:1|c|#region:eu|@0.5|c:83f2", "a;region=eu"),
        (b"a:1|c|#urgent\r", "a;urgent=true"),
        (b"a:1|c|#region=eu", "a;region=eu"),
        (b"a:1|c|#image:nginx:1.2", "a;image=nginx1.2"),
        (b"a:1|c|#url:x=y", "a;url=x=y"),
        (b"a:1|c|#", "a"),
        (b"a:1|c|#,region:eu,, ", "a;region=eu"),
        (b"cpu,host=a,region=eu:1|c", "cpu;host=a;region=eu"),
        (b"cpu,:1|c", "cpu"),
        (b"a b;region=e/u:1|c", "a_b;region=e-u"),
        (b"a;x=1,y=2:1|c|#z:3,x:4", "a;x=4;y=2;z=3"),
        (b"a:1|c|#x:1,x:2", "a;x=2"),
        (b"a:1|c|#name:b", "a;name_=b"),
        (b"a:1|kv|#x:1|@9", "a;x=1"),
    ],
)
def test_tags_become_part_of_the_bucket(line, bucket):
    (metric,) = metrics(line, tags=True)
    assert metric.bucket == bucket
    assert metric == metrics(line)[0]._replace(bucket=bucket)


def test_tags_belong_to_every_value_of_a_line():
    assert [metric[:3] for metric in metrics(b"a:1|c:2|ms|#b:c", tags=True)] == [
        ("a;b=c", Kind.COUNTER, 1),
        ("a;b=c", Kind.TIMER, 2),
    ]


@pytest.mark.parametrize(
    ("line", "bucket"),
    [
        (b"a:42|c|#key:", "a"),
        (b"a:42|c|#key:,b:c", "a;b=c"),
        (b"a:42|c|#b:c,b:", "a;b=c"),
        (b"a;key=:42|c", "a"),
        (b"a,key=:42|c", "a"),
        (b"a,key=,b=c:42|c", "a;b=c"),
        (b"a:42|c|#region:\xe9", "a"),
        (b"a:42|c|#region:~", "a"),
        (b"a:42|c|#region:~eu", "a;region=eu"),
        (b"a:42|c|#re;gi!on^:e;u", "a;region=eu"),
        (b"a:42|c|#:eu", "a"),
        (b"a:42|c|#!", "a"),
        (b"cpu,host:42|c", "cpu"),
        (b"cpu,=a:42|c", "cpu"),
        (b"a:42|c|#c:d,b:" + b"x" * 252, "a;c=d"),
        (b"a:42|c|#c:d," + b"x" * 252, "a;c=d"),
        (b"a:42|c|#" + b",".join(b"t%d:" % n + b"x" * (206 - n) for n in range(6)),
         "a;" + ";".join(f"t{n}=" + "x" * (206 - n) for n in range(2, 6))),
    ],
)  # fmt: skip
def test_a_tag_that_graphite_can_not_store_is_left_out_and_the_event_counts(line, bucket):
    assert metrics(line, tags=True) == [Metric(bucket, Kind.COUNTER, 42)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b";a=b:1|c", "empty name"),
        (b"a..b;c=d:1|c", "name with an empty part"),
        (b"_e{5,4}:title|text|#a:b", "event of DogStatsD, not a metric"),
    ],
)
@pytest.mark.parametrize("tags", [False, True])
def test_tags_do_not_help_a_bad_name(line, reason, tags):
    assert reasons(line, tags) == [reason]


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


@given(DATAGRAMS, st.booleans())
@example(b"a:1|c|@5e-324", False)
@example(b"a:1|kv|@\xb9", False)
def test_no_bytes_raise(datagram, tags):
    parse(datagram, tags)


_PARTS = st.sampled_from([*"ab=,;:#|.~/! \0\xe9", "name", "|c", "|#", "1|c"])
TAGGED = st.lists(_PARTS, max_size=14).map(lambda parts: "".join(parts).encode("latin-1") + b"|c|#t:1")


@given(DATAGRAMS)
def test_tags_that_are_dropped_make_no_other_bucket(datagram):
    kept, bad = parse(datagram, tags=True)
    dropped, also_bad = parse(datagram, tags=False)
    # A comma in a name that no `=` follows is left to be cleaned.
    if b"," not in datagram and b";" not in datagram:
        assert [metric._replace(bucket=metric.bucket.partition(";")[0]) for metric in kept] == dropped
        assert bad == also_bad


@given(DATAGRAMS | TAGGED | st.builds(b"a:1|c|#%s".__mod__, st.binary(max_size=30)))
def test_every_bucket_is_legal(datagram):
    for metric in parse(datagram)[0]:
        assert is_legal_name(metric.bucket)
    for metric in parse(datagram, tags=True)[0]:
        assert is_legal_series(metric.bucket)


@given(DATAGRAMS | TAGGED | st.builds(b"a:1|c|#%s".__mod__, st.binary(max_size=30)))
def test_a_tagged_bucket_is_read_back_as_itself(datagram):
    for metric in parse(datagram, tags=True)[0]:
        assert metrics(f"{metric.bucket}:1|c".encode(), tags=True) == [Metric(metric.bucket, Kind.COUNTER, 1)]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_read_exactly(value):
    assert read_number(repr(value)) == value
