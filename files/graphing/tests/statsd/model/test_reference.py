"""The engine: what an interval's metrics add up to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsd_support import DATAGRAMS, EVERY_LINE, PLAIN, normal

from graphing.statsd.model.naming import conflict_in_plain
from graphing.statsd.model.protocol import Kind, parse
from graphing.statsd.model.reference import BucketRules, Engine, Interval
from graphing.statsd.settings import StatsdSection


def after(*datagrams, rules=PLAIN):
    engine = Engine(rules)
    for datagram in datagrams:
        engine.feed(datagram)
    assert engine.collect_outcome().bad_lines == 0
    return engine.interval()


def outcome_of(engine, datagram):
    engine.feed(datagram)
    return engine.collect_outcome()


def test_counters_add_up_and_sampling_is_made_good():
    assert after(b"a:1|c\na:2|c\na:1|c|@0.1\na:-1|c", b"a:1|c").counters == {"a": 13}


def test_timers_keep_their_values_and_count_what_the_clients_did_not_send():
    now = after(b"t:320|ms", b"t:100|ms|@0.1\nt:50|h")
    assert now.timers == {"t": [320, 100, 50]}
    assert now.unsent == {"t": 9}


def test_gauges_hold_the_last_value_and_take_deltas():
    assert after(b"g:10|g\ng:7|g").gauges == {"g": 7}
    assert after(b"g:10|g", b"g:-3|g\ng:+1|g").gauges == {"g": 8}
    assert after(b"new:-3|g").gauges == {"new": -3}


def test_sets_hold_distinct_strings():
    assert after(b"s:a|s\ns:b|s\ns:a|s\ns:|s").sets == {"s": {"a", "b", ""}}


def test_idle_buckets_go_on():
    engine = Engine(PLAIN)
    engine.feed(b"c:1|c\nt:1|ms|@0.5\ng:1|g\ns:x|s")
    ended = engine.end_interval()
    assert (ended.counters, ended.unsent) == ({"c": 1}, {"t": 1})
    assert engine.end_interval() == Interval(counters={"c": 0}, timers={"t": []}, gauges={"g": 1}, sets={"s": set()})


KEPT = (Kind.COUNTER, Kind.TIMER, Kind.GAUGE, Kind.SET)


@pytest.mark.parametrize("kind", KEPT)
def test_idle_buckets_of_some_kinds_are_forgotten_on_request(kind):
    engine = Engine(BucketRules(frozenset([kind]), PLAIN.conflict))
    engine.feed(b"counters:1|c\ntimers:1|ms\ngauges:1|g\nsets:x|s")
    engine.end_interval()
    now = engine.end_interval()
    assert {name for name in KEPT if now.of(name)} == set(KEPT) - {kind}
    # The name is free again.
    other = "g" if kind is not Kind.GAUGE else "c"
    assert outcome_of(engine, f"{kind}:1|{other}".encode()).type_conflicts == 0


def test_taking_an_interval_leaves_it_as_it_is():
    engine = Engine(PLAIN)
    engine.feed(b"c:1|c\nt:1|ms\ng:1|g\ns:x|s")
    ended = engine.end_interval()
    engine.feed(b"c:1|c\nt:1|ms\ng:2|g\ns:y|s")
    assert ended == Interval({"c": 1}, {"t": [1]}, {}, {"g": 1}, {"s": {"x"}})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a:1|c", "a:1|g"),
        ("a:1|c", "a:1|ms"),
        ("a:1|ms", "a:x|s"),
        ("a:1|g", "a:1|c"),
        ("a:x|s", "a:1|c"),
        ("a:1|c", "a.rate:1|g"),
        ("a.rate:1|g", "a:1|c"),
        ("a:1|ms", "a.upper_90:1|g"),
        ("a.upper_90:1|g", "a:1|ms"),
        ("a.unique:1|g", "a:x|s"),
        ("a:x|s", "a.unique:1|g"),
    ],
)
def test_in_plain_the_first_of_two_that_collide_wins(first, second):
    engine = Engine(PLAIN)
    outcome_of(engine, first.encode())
    before = engine.now.successor(frozenset())
    result = outcome_of(engine, f"{second}\nother:1|c".encode())
    assert [complaint.subject for complaint in result.complaints] == [second.partition(":")[0]]
    assert (result.metrics, result.type_conflicts) == (1, 1)
    assert engine.now.successor(frozenset()).of(Kind.GAUGE) == before.gauges
    assert outcome_of(engine, first.encode()).type_conflicts == 0


def test_in_plain_neighbours_that_do_not_collide_live_side_by_side():
    engine = Engine(PLAIN)
    neighbours = b"a:1|c\na.count:1|c\na.upper:1|g\na.unique:1|g\nb:1|ms\nb.unique:1|g"
    assert outcome_of(engine, neighbours).type_conflicts == 0


def test_without_a_prefix_the_aggregators_own_names_are_kept_for_it():
    engine = Engine(BucketRules(conflict=conflict_in_plain("", "statsd", ())))
    complaints = outcome_of(engine, b"statsd.packets:1|c\nstatsd:1|g\nstatsdx:1|c").complaints
    assert [complaint.subject for complaint in complaints] == ["statsd.packets", "statsd"]


def test_in_etsys_namespaces_a_bucket_may_be_of_several_kinds():
    now = after(b"a:1|c\na:1|g\na:1|ms\na:1|s", rules=BucketRules())
    assert len(now) == 4


_BUCKETS = st.sampled_from(["a", "b", "a.b", "c c"])
_WHOLE = st.integers(-1000, 1000)
_COMMUTING = st.one_of(
    st.tuples(_BUCKETS, _WHOLE, st.sampled_from(["c", "c|@0.5", "ms", "ms|@0.25", "s"])).map(
        lambda parts: "{}:{}|{}".format(*parts)
    )
)


@given(st.lists(_COMMUTING, max_size=30).flatmap(lambda lines: st.tuples(st.just(lines), st.permutations(lines))))
def test_order_does_not_matter_to_counters_timers_and_sets(orders):
    first, second = (after("\n".join(lines).encode(), rules=BucketRules()) for lines in orders)
    assert normal(first) == normal(second)


@given(st.lists(st.lists(st.tuples(_BUCKETS, _WHOLE), max_size=5), max_size=8), st.integers(0, 8))
def test_counters_are_conserved_however_datagrams_and_intervals_cut_them(datagrams, cut):
    engine = Engine(PLAIN)
    flushed = 0.0
    for index, lines in enumerate(datagrams):
        if index == cut:
            flushed += sum(engine.end_interval().counters.values())
        engine.feed("\n".join(f"{bucket}:{value}|c" for bucket, value in lines).encode())
    flushed += sum(engine.end_interval().counters.values())
    assert flushed == sum(value for lines in datagrams for _, value in lines)


def assert_same(datagrams):
    """Assert that `feed` does what `parse` and `add` do."""
    short, long = Engine(PLAIN), Engine(PLAIN)
    for datagram in datagrams:
        result = outcome_of(short, datagram)
        metrics, bad = parse(datagram)
        for metric in metrics:
            long.add(metric)
        expected = long.collect_outcome()
        assert (result.metrics, result.type_conflicts) == (expected.metrics, expected.type_conflicts)
        assert result.bad_lines == len(bad)
    assert short.interval() == long.interval()


@given(st.lists(DATAGRAMS, max_size=6))
def test_the_short_way_gives_what_the_long_way_gives(datagrams):
    assert_same([*datagrams, *datagrams])


@pytest.mark.parametrize("known", [b"a:1|c\nb.c:1|ms\ne:1|g", b"a:1|ms\nb.c:1|c\ne:1|s"])
def test_the_short_way_gives_what_the_long_way_gives_for_known_buckets(known):
    assert_same([known, *EVERY_LINE])


def test_a_gauge_may_be_forgotten_after_some_flushes_without_a_value():
    engine = Engine(BucketRules(gauge_flushes=3))
    engine.feed(b"g:1|g\nother:1|g")
    assert [set(engine.end_interval().gauges) for _ in range(2)] == [{"g", "other"}] * 2
    engine.feed(b"g:1|g")
    assert [set(engine.end_interval().gauges) for _ in range(4)] == [{"g", "other"}, {"g"}, {"g"}, set()]


def test_the_flushes_of_a_gauge_go_before_the_rule_for_idle_buckets():
    engine = Engine(StatsdSection(gauge_flushes=2, delete_idle=("gauges", "counters")).rules())
    engine.feed(b"g:1|g\nc:1|c")
    assert [len(engine.end_interval()) for _ in range(3)] == [2, 1, 0]


def test_beyond_the_most_buckets_new_ones_are_refused_and_named():
    engine = Engine(BucketRules(max_buckets=2))
    result = outcome_of(engine, b"a:1|c\nb:1|g\nc:1|c\na:1|c")
    assert (result.metrics, result.refused) == (3, 1)
    assert [(complaint.reason, complaint.subject) for complaint in result.complaints] == [("refused", "c")]


@pytest.mark.parametrize("kind", ["ms", "s", "kv"])
def test_beyond_the_most_values_more_are_refused_and_named(kind):
    engine = Engine(BucketRules(max_values=2))
    result = outcome_of(engine, f"a:1|{kind}\na:2|{kind}\na:3|{kind}\nb:1|{kind}".encode())
    assert (result.metrics, result.refused) == (3, 1)
    assert result.complaints[0].subject == "a"
    assert len(engine.interval().of(engine.interval().kind_of("a"))["a"]) == 2
    engine.end_interval()
    assert outcome_of(engine, f"a:1|{kind}".encode()).refused == 0


def test_values_of_kv_are_kept_as_they_are_until_the_flush():
    engine = Engine(PLAIN)
    engine.feed(b"a:1.5|kv|@1700000000\na:2|kv\nb:1|c\nb:1|kv")
    assert engine.collect_outcome().type_conflicts == 1
    assert engine.end_interval().values == {"a": [(1.5, 1700000000), (2, 0)]}
    assert engine.end_interval().values == {}


def test_dated_values_of_a_gauge_live_beside_the_others_until_the_flush():
    engine = Engine(PLAIN)
    lines = b"g:2|g|T1700000000\ng:7|g\ng:3|g|T1700000010\nh:4|g|T9\nh:1|c\nh:1|kv\nc:1|c\nc:1|g|T9"
    complaints = outcome_of(engine, lines).complaints
    assert [complaint.text for complaint in complaints] == [
        "it is one of the gauges, not of the counters",
        "it is one of the gauges, not of the values",
        "it is one of the counters, not of the gauges",
    ]
    now = engine.end_interval()
    assert (now.gauges, now.dated) == ({"g": 7}, {"g": [(2, 1700000000), (3, 1700000010)], "h": [(4, 9)]})
    assert engine.end_interval() == Interval(counters={"c": 0}, gauges={"g": 7})
    assert outcome_of(engine, b"h:1|c").type_conflicts == 0


def test_a_bad_line_founds_no_bucket_and_counts_once():
    engine = Engine(PLAIN)
    bad = b"a:1|cb:4|ms\na:1:2|c:3|c\na:5|g:x|g\njobs.Acme::Mail.perform:20|ms\nx1:1|cx2:1|cx3:1|c"
    assert outcome_of(engine, bad).bad_lines == 5
    assert engine.interval() == Interval()
    assert outcome_of(engine, b"a:1|c").type_conflicts == 0


def test_values_of_one_line_are_held_against_its_bucket_one_by_one():
    result = outcome_of(Engine(PLAIN), b"a:1|c:2|ms:3|c")
    assert (result.metrics, result.type_conflicts, result.bad_lines) == (2, 1, 0)


@pytest.mark.parametrize("tags", [b"a,region=%s:1|c", b"a;region=%s:1|c", b"a:1|c|#region:%s"])
def test_dropped_tags_leave_one_bucket(tags):
    assert after(tags % b"eu", tags % b"us").counters == {"a": 2}


TAGGED = (
    b"a:1|c|#x:1\na:2|c|#x:2\nt:1|ms|@0.5|#x:1\nt:2|ms|#x:2\nt:3|ms\ng:4|g|#x:1\ns:m|s|#x:1\ns:n|s|#x:2\nk:5|kv|#x:1"
)
UNTAGGED = Interval({"a": 3}, {"t": [3, 1, 2]}, {"t": 1}, {"g": 4}, {"s": {"m", "n"}}, {"k": [(5, 0)]})


def test_tags_that_are_dropped_from_now_on_go_from_the_buckets_that_are_there():
    rules = replace(PLAIN, tags=True)
    engine = Engine(rules)
    outcome_of(engine, TAGGED)
    saved = engine.interval()
    restored = Engine(PLAIN)
    restored.restore(saved)
    engine.configure(PLAIN)
    assert normal(engine.interval()) == normal(restored.interval()) == normal(UNTAGGED)
    assert outcome_of(engine, b"a;x=1:1|c\na,x=2:1|c").metrics == 2
    assert engine.interval().counters == {"a": 5}


def test_of_many_complaints_the_first_few_are_told_and_all_counted():
    result = outcome_of(Engine(PLAIN), b"\n".join([b"bad"] * 1000))
    assert result.bad_lines == 1000
    assert len(result.complaints) == 10
