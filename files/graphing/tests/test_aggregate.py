"""The engine: what an interval's metrics add up to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_protocol import DATAGRAMS, EVERY_LINE

from graphing.statsd.aggregate import Engine, Interval, Rules
from graphing.statsd.naming import conflict_in_plain
from graphing.statsd.protocol import Kind, decode, parse

PLAIN = Rules(conflict=conflict_in_plain("stats", "statsd", (90,)))


def after(*datagrams, rules=PLAIN):
    engine = Engine(rules)
    for datagram in datagrams:
        assert engine.feed(decode(datagram)).bad == []
    return engine.now


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
    engine.feed("c:1|c\nt:1|ms|@0.5\ng:1|g\ns:x|s")
    taken = engine.take()
    assert (taken.counters, taken.unsent) == ({"c": 1}, {"t": 1})
    assert engine.take() == Interval(counters={"c": 0}, timers={"t": []}, gauges={"g": 1}, sets={"s": set()})


@pytest.mark.parametrize("kind", Kind)
def test_idle_buckets_of_some_kinds_are_forgotten_on_request(kind):
    engine = Engine(Rules(frozenset([kind]), PLAIN.conflict))
    engine.feed("counters:1|c\ntimers:1|ms\ngauges:1|g\nsets:x|s")
    engine.take()
    now = engine.take()
    assert {name for name in Kind if now.of(name)} == set(Kind) - {kind}
    # The name is free again.
    other = "g" if kind is not Kind.GAUGE else "c"
    assert engine.feed(f"{kind}:1|{other}").conflicts == []


def test_taking_an_interval_leaves_it_as_it_is():
    engine = Engine(PLAIN)
    engine.feed("c:1|c\nt:1|ms\ng:1|g\ns:x|s")
    taken = engine.take()
    engine.feed("c:1|c\nt:1|ms\ng:2|g\ns:y|s")
    assert taken == Interval({"c": 1}, {"t": [1]}, {}, {"g": 1}, {"s": {"x"}})


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
    engine.feed(first)
    before = engine.now.successor(frozenset())
    fed = engine.feed(f"{second}\nother:1|c")
    assert [conflict.bucket for conflict in fed.conflicts] == [second.partition(":")[0]]
    assert fed.metrics == 1
    assert engine.now.successor(frozenset()).of(Kind.GAUGE) == before.gauges
    assert engine.feed(first).conflicts == []


def test_in_plain_neighbours_that_do_not_collide_live_side_by_side():
    engine = Engine(PLAIN)
    assert engine.feed("a:1|c\na.count:1|c\na.upper:1|g\na.unique:1|g\nb:1|ms\nb.unique:1|g").conflicts == []


def test_without_a_prefix_the_aggregators_own_names_are_kept_for_it():
    engine = Engine(Rules(conflict=conflict_in_plain("", "statsd", ())))
    conflicts = engine.feed("statsd.packets:1|c\nstatsd:1|g\nstatsdx:1|c").conflicts
    assert [conflict.bucket for conflict in conflicts] == ["statsd.packets", "statsd"]


def test_in_etsys_namespaces_a_bucket_may_be_of_several_kinds():
    now = after(b"a:1|c\na:1|g\na:1|ms\na:1|s", rules=Rules())
    assert len(now) == 4


_BUCKETS = st.sampled_from(["a", "b", "a.b", "c c"])
_WHOLE = st.integers(-1000, 1000)
_COMMUTING = st.one_of(
    st.tuples(_BUCKETS, _WHOLE, st.sampled_from(["c", "c|@0.5", "ms", "ms|@0.25", "s"])).map(
        lambda parts: "{}:{}|{}".format(*parts)
    )
)


def normal(interval):
    interval.timers = {bucket: sorted(values) for bucket, values in interval.timers.items()}
    return interval


@given(st.lists(_COMMUTING, max_size=30).flatmap(lambda lines: st.tuples(st.just(lines), st.permutations(lines))))
def test_order_does_not_matter_to_counters_timers_and_sets(orders):
    first, second = (after("\n".join(lines).encode(), rules=Rules()) for lines in orders)
    assert normal(first) == normal(second)


@given(st.lists(st.lists(st.tuples(_BUCKETS, _WHOLE), max_size=5), max_size=8), st.integers(0, 8))
def test_counters_are_conserved_however_datagrams_and_intervals_cut_them(datagrams, cut):
    engine = Engine(PLAIN)
    flushed = 0.0
    for index, lines in enumerate(datagrams):
        if index == cut:
            flushed += sum(engine.take().counters.values())
        engine.feed("\n".join(f"{bucket}:{value}|c" for bucket, value in lines))
    flushed += sum(engine.take().counters.values())
    assert flushed == sum(value for lines in datagrams for _, value in lines)


def assert_same(datagrams):
    """Assert that `feed` does what `parse` and `add` do."""
    short, long = Engine(PLAIN), Engine(PLAIN)
    for datagram in datagrams:
        fed = short.feed(decode(datagram))
        metrics, bad = parse(datagram)
        conflicts = [conflict for conflict in map(long.add, metrics) if conflict]
        assert (fed.metrics, fed.bad, fed.conflicts) == (len(metrics) - len(conflicts), bad, conflicts)
    assert short.now == long.now


@given(st.lists(DATAGRAMS, max_size=6))
def test_the_short_way_gives_what_the_long_way_gives(datagrams):
    assert_same([*datagrams, *datagrams])


@pytest.mark.parametrize("known", [b"a:1|c\nb.c:1|ms\ne:1|g", b"a:1|ms\nb.c:1|c\ne:1|s"])
def test_the_short_way_gives_what_the_long_way_gives_for_known_buckets(known):
    assert_same([known, *EVERY_LINE])
