"""Both engines give the same: whatever comes, however it is cut into datagrams, intervals and processes."""

import math
import random
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsd_support import DATAGRAMS, EVERY_LINE

from graphing.statsd.engine.choice import make_engine
from graphing.statsd.engine.compiled import is_available
from graphing.statsd.model import partial
from graphing.statsd.model.lines import Form
from graphing.statsd.model.naming import etsy, plain
from graphing.statsd.model.protocol import Kind
from graphing.statsd.model.reference import BucketRules, Interval
from graphing.statsd.settings import Histogram, StatsdSection

pytestmark = pytest.mark.skipif(not is_available(), reason="the compiled engine is not built: bin/twin")

PREFIXES = dict(zip(Kind, ("counters", "timers", "gauges", "sets"), strict=False))
FORMS = [
    Form(plain("stats", "statsd", True), (90, -10, 99.9, 0.1), (), 10, 1700000010),
    Form(etsy("stats", "end", PREFIXES, "statsd", False), (50,), (Histogram("t", (1, 10, math.inf)),), 7, 1700000010),
]
RULES = [
    StatsdSection().rules(),
    StatsdSection(namespace="etsy", delete_idle=("counters", "gauges", "timers", "sets")).rules(),
    StatsdSection(delete_idle=("counters", "gauges"), tags="graphite").rules(),
    StatsdSection(gauge_flushes=2, max_buckets=4, max_values=3).rules(),
    StatsdSection(namespace="legacy", gauge_flushes=3).rules(),
    StatsdSection(gauge_flushes=1).rules(),
    StatsdSection(
        prefix="", health_prefix="a.b", percentiles=(90,), delete_idle=("counters", "timers", "sets")
    ).rules(),
    StatsdSection(histograms=(Histogram("t", (1, 10, math.inf)),), delete_idle=("timers", "gauges")).rules(),
]


def flush(engine, form):
    """Return the sorted lines of an interval and what was left out of it."""
    partial_result = engine.serialize_changes()
    found = engine.begin_flush(form)
    lines, left_out = [], [0, 0]
    while (part := found.slice(2)) is not None:
        lines += part.lines.decode().splitlines()
        assert part.line_count == part.lines.count(b"\n")
        left_out[0] += part.not_finite
        left_out[1] += part.refused
    return partial_result, (sorted(lines), left_out, found.buckets)


def counts(outcome):
    return outcome.metrics, outcome.bad_lines, outcome.type_conflicts, outcome.refused


def normal(interval):
    interval.timers = {bucket: sorted(values) for bucket, values in interval.timers.items()}
    interval.unsent = {bucket: unsent for bucket, unsent in interval.unsent.items() if unsent}
    interval.values = {bucket: values for bucket, values in interval.values.items() if values}
    interval.dated = {bucket: values for bucket, values in interval.dated.items() if values}
    return interval


def assert_same(steps, rules, form):
    """Feed both engines; a step is a datagram, "serialize", "flush", other rules, or (kind, bucket) to delete."""
    engines = [make_engine(name, rules) for name in ("python", "compiled")]
    records = [b"", b""]
    for step in steps:
        if isinstance(step, bytes):
            for engine in engines:
                engine.feed(step)
        elif step == "serialize":
            records = [kept + engine.serialize_changes() for kept, engine in zip(records, engines, strict=True)]
        elif step == "flush":
            assert normal(engines[0].interval()) == normal(engines[1].interval())
            mine, its = (flush(engine, form) for engine in engines)
            assert mine[1] == its[1]
            read = [partial.read(kept + last).interval for kept, (last, _) in zip(records, (mine, its), strict=True)]
            assert normal(read[0]) == normal(read[1])
            records = [b"", b""]
        elif isinstance(step, BucketRules):
            for engine in engines:
                engine.configure(step)
        else:
            assert engines[0].delete(*step) == engines[1].delete(*step)
        assert counts(engines[0].collect_outcome()) == counts(engines[1].collect_outcome())
        assert len(engines[0]) == len(engines[1])
    left = [normal(engine.interval()) for engine in engines]
    assert left[0] == left[1]


FREE = ["a", "b", "a.count", "a.upper", "a.mean_90", "a.b", "a.b.c", "t", "t.x", "t.unique", "t.histogram.bin_10"]
NAMES = st.sampled_from([*FREE, "c c", "x;k=v", "x,k=v", "a,k=v;l=w", "a;k=", "b,k", "a..b", ".a", "a.", "statsd.x"])
NUMBERS = st.one_of(
    st.sampled_from(["1", "0", "-0", "+5", "-3", "1.5", ".5", "5.", "1e3", "1_0", "nan", "inf", "", " 1", "1e308"]),
    st.sampled_from(["1:2", "1:+2:-3", "1:x", ":1", "x:", "1|c:2", "1|ms:x"]),
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(min_value=-1000, max_value=1000, places=3).map(str),
)
KINDS = st.sampled_from(
    [
        "c",
        "ms",
        "g",
        "s",
        "h",
        "d",
        "m",
        "kv",
        "zz",
        "c|@0.1",
        "ms|@0.5",
        "g|@0.5",
        "c|@0",
        "c|@2",
        "g|T9",
        "c|T9",
        "kv|@9",
    ]
)
TAGS = st.sampled_from(["", "", "", "|#k:v", "|#k:v|@0.5", "|#k:", "\r", "|", ":2|c", "|c:ab"])
LINES = st.tuples(NAMES, NUMBERS, KINDS, TAGS).map(lambda parts: "{}:{}|{}{}".format(*parts).encode())
USUAL = st.tuples(st.sampled_from(FREE[:5]), st.integers(0, 50), st.sampled_from(["c", "ms", "g", "s"])).map(
    lambda parts: "{}:{}|{}".format(*parts).encode()
)
BLOBS = st.lists(st.one_of(USUAL, USUAL, LINES), max_size=12).map(b"\n".join)
STEPS = st.lists(
    st.one_of(
        BLOBS,
        BLOBS,
        DATAGRAMS,
        st.sampled_from(["serialize", "flush", "flush"]),
        st.tuples(st.sampled_from([*Kind]), st.sampled_from(["a", "b", "t"])),
    ),
    max_size=14,
)


@settings(max_examples=400)
@given(STEPS, st.sampled_from(RULES), st.sampled_from(FORMS))
def test_any_input(steps, rules, form):
    assert_same([*steps, "flush", "flush"], rules, form)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("form", FORMS)
def test_every_line(rules, form):
    known = b"a:1|c\nb.c:1|ms\ne:1|g\ns:x|s"
    assert_same([known, *EVERY_LINE, "serialize", *EVERY_LINE, "flush", *EVERY_LINE, "flush", "flush"], rules, form)


def test_many_buckets_and_values():
    chance = random.Random(7)
    lines = []
    for _ in range(60_000):
        kind = chance.choice(["c", "c", "ms", "g", "s"])
        value = f"{chance.lognormvariate(3, 1):.3f}" if kind == "ms" else chance.randrange(100)
        lines.append(f"some.longer.name.of.bucket{chance.randrange(9_000)}.{kind}:{value}|{kind}")
    lines += [f"busy:{chance.gauss(100, 15)!r}|ms" for _ in range(5_000)]
    chance.shuffle(lines)
    blobs = ["\n".join(lines[start : start + 500]).encode() for start in range(0, len(lines), 500)]
    assert_same(
        [*blobs, "flush", *blobs[:40], "serialize", *blobs[40:50], "flush", "flush"], StatsdSection().rules(), FORMS[0]
    )


@settings(max_examples=300)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_sums_and_the_shortest_digits(values):
    interval = Interval(timers={"t": values}, gauges={f"g{index}": value for index, value in enumerate(values)})
    results = []
    for name in ("python", "compiled"):
        engine = make_engine(name, StatsdSection().rules())
        engine.restore(interval)
        results.append(flush(engine, FORMS[0])[1])
    assert results[0] == results[1]


def test_names_of_dead_buckets_do_not_pile_up():
    engine = make_engine("compiled", StatsdSection(namespace="etsy", delete_idle=("counters",)).rules())
    for flushes in range(30):
        engine.feed("\n".join(f"once.{flushes}.{index}:1|c" for index in range(2_000)).encode())
        engine.feed(b"always:1|c")
        _, (lines, _, buckets) = flush(engine, FORMS[0])
        assert buckets == 2_001
        assert "stats.always.count 1 1700000010" in lines
    flush(engine, FORMS[0])
    assert len(engine) == 0


def test_a_flush_may_take_its_time():
    """What comes between the slices of a flush belongs to the next interval; nothing leaks from one to the other."""
    for rules in (RULES[0], RULES[1]):
        lines = b"c:1|c\nt:1|ms\ng:1|g\ns:x|s\nidle:1|c\nlevel:9|g"
        more = b"c:5|c\nt:5|ms\nt:6|ms\ng:+5|g\ns:y|s\ns:z|s\nnew:1|c"
        results = []
        for name in ("python", "compiled"):
            engine = make_engine(name, rules)
            engine.feed(lines)
            engine.serialize_changes()
            slow = engine.begin_flush(FORMS[0])
            engine.feed(more)
            records = engine.serialize_changes()
            written = []
            while (part := slow.slice(1)) is not None:
                written += part.lines.decode().splitlines()
            records += engine.serialize_changes()
            results.append((sorted(written), normal(partial.read(records).interval), flush(engine, FORMS[0])[1]))
        assert results[0] == results[1]
        assert "stats.c.count 1 1700000010" in results[0][0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BucketRules(), BucketRules(forget=frozenset([Kind.COUNTER, Kind.TIMER, Kind.SET]))),
        (BucketRules(forget=frozenset(PREFIXES)), BucketRules()),
        (BucketRules(), BucketRules(gauge_flushes=1)),
        (BucketRules(gauge_flushes=3), BucketRules(gauge_flushes=2)),
        (BucketRules(gauge_flushes=2), BucketRules(gauge_flushes=1)),
        (BucketRules(tags=True), BucketRules()),
        (BucketRules(gauge_flushes=1), BucketRules()),
    ],
)
def test_rules_may_change_at_any_time(before, after):
    lines = b"c:1|c\nt:1|ms\ng:5|g\ns:x|s"
    for idle in range(4):
        for more in (b"", b"g:+2|g", b"g:7|g", lines):
            assert_same(
                [lines, *["flush"] * idle, more, after, b"c:1|c", "flush", "flush", more, "flush", "flush"],
                before,
                FORMS[1],
            )


TAGGED = b"a:1|c|#x:1\na:2|c|#x:2\nt:1|ms|@0.5|#x:1\nt:2|ms|#x:2\nt:3|ms\ng:4|g|#x:1\ns:m|s|#x:1\nk:5|kv|#x:1"


@pytest.mark.parametrize("forget", [(), ("counters", "timers", "gauges", "sets")])
def test_tags_may_be_dropped_from_now_on(forget):
    tagged, plain_ = (StatsdSection(tags=tags, delete_idle=forget).rules() for tags in ("graphite", "drop"))
    lines = TAGGED.replace(b"|#x:1", b"").replace(b"t:", b"t,x=1:").replace(b"a:", b"a;x=1:")
    assert_same([TAGGED, "serialize", plain_, lines, "flush", lines, "flush"], tagged, FORMS[0])
    assert_same([TAGGED, "flush", plain_, lines, "flush", lines, "flush"], tagged, FORMS[0])


def test_names_with_tags_that_are_dropped_are_not_asked_for():
    asked = []
    table = import_module("graphing_twin").Table(asked.append, 1)
    table.admit(True, b"own", {}, False)
    table.feed(b"a,x=1:1|c\na;x=2,y=3:1|c\nb.c,x=:1|ms\ns;x=1:m|s\na,x=1:1|c|@0.5|#x:y")
    assert (asked, table.buckets()[0]) == ([], {b"a": 4.0})
    table.feed(b"a,x:1|c\n,x=1:1|c\na b,x=1:1|c\n_e{1,x=1}:1|c")
    assert asked == [b"a,x:1|c", b",x=1:1|c", b"a b,x=1:1|c", b"_e{1,x=1}:1|c"]


def test_a_bucket_that_was_forgotten_asks_what_has_its_name_now():
    """While a flush takes its time, what it forgets is still there; a dated value may have its name."""
    results = []
    for name in ("python", "compiled"):
        engine = make_engine(name, StatsdSection(delete_idle=("counters",)).rules())
        engine.feed(b"a:1|c")
        engine.serialize_changes()
        slow = engine.begin_flush(FORMS[0])
        engine.feed(b"a:1|g|T9\na:1|c")
        while slow.slice(9) is not None:
            pass
        results.append(counts(engine.collect_outcome()))
    assert results == [(2, 0, 1, 0)] * 2


def test_what_was_taken_once_is_not_refused_after_a_restart():
    saved = Interval(timers={"t": [1.0, 2.0, 3.0]}, unsent={"t": 4.0}, sets={"s": {"a", "b", "c"}}, gauges={"g": 1.0})
    for name in ("python", "compiled"):
        engine = make_engine(name, BucketRules(max_values=2))
        engine.restore(saved)
        assert normal(engine.interval()) == normal(saved)
        engine.feed(b"t:1|ms")
        assert counts(engine.collect_outcome()) == (0, 0, 0, 1)


def test_a_gauge_that_is_forgotten_while_its_flush_takes_its_time_begins_at_nothing():
    results = []
    for name in ("python", "compiled"):
        engine = make_engine(name, BucketRules(gauge_flushes=2))
        engine.feed(b"g:5|g")
        flush(engine, FORMS[0])
        engine.serialize_changes()
        slow = engine.begin_flush(FORMS[0])
        engine.feed(b"g:+1|g")
        assert slow.slice(9).line_count == 1
        results.append(flush(engine, FORMS[0])[1][0])
    assert results == [["stats.g 1 1700000010"]] * 2


def test_a_refused_bucket_may_be_gone_when_it_is_named():
    engine = make_engine("compiled", BucketRules(max_values=1, forget=frozenset([Kind.COUNTER])))
    for flushes in range(11):
        engine.feed("\n".join(f"once.{flushes}.{index}:1|c" for index in range(1_000)).encode())
        flush(engine, FORMS[0])
    engine.feed(b"t:1|ms\nt:2|ms")
    flush(engine, FORMS[0])
    assert engine.collect_outcome().refused == 1


@pytest.mark.parametrize(
    ("line", "is_asked"),
    [
        (b"new:1|c", False),
        (b"new.count:1|ms", False),
        (b"new.count:1|g", False),
        (b"new:x|s", False),
        (b"counter:1|g", True),
        (b"counter.count:1|g", True),
        (b"counter.unique:1|g", False),
        (b"gauge:x|s", True),
        (b"leaf:1|c", True),
        (b"leaf:1|ms", False),
        (b"own.x:1|c", True),
        (b"odd name:1|c", True),
    ],
)
def test_new_buckets_are_asked_for_only_if_something_may_be_against_them(line, is_asked):
    asked = []
    table = import_module("graphing_twin").Table(asked.append, 1)
    table.admit(True, b"own", {0: [b".count"], 1: [b".upper"], 3: [b".unique"]}, False)
    table.feed(b"counter:1|c\ngauge:1|g\nleaf.count:1|g")
    assert (len(table), asked) == (3, [])
    table.feed(line)
    assert asked == [line] * is_asked
    assert len(table) == 3 + (not is_asked)


@pytest.mark.parametrize(
    "lines", [b"t.histogram.bin_10:1|g\nt:1|ms", b"t:1|ms\nt.histogram.bin_10:1|g", b"a.b:1|c\na.b.c:1|ms\na.bc:1|c"]
)
def test_bins_and_own_names_are_in_the_way_of_new_buckets(lines):
    rules = StatsdSection(prefix="", health_prefix="a.b", histograms=(Histogram("t", (1, 10, math.inf)),)).rules()
    assert_same([lines, "flush"], rules, FORMS[0])
    engine = make_engine("compiled", rules)
    engine.feed(lines)
    assert engine.collect_outcome().type_conflicts == lines.count(b"\n")


def test_a_rule_that_is_not_known_here_is_asked_about_every_new_bucket():
    engine = make_engine(
        "compiled", BucketRules(conflict=lambda _buckets, bucket, _kind: "no" if bucket == "b" else None)
    )
    engine.feed(b"a:1|c\nb:1|c\na:1|c")
    assert counts(engine.collect_outcome()) == (2, 0, 1, 0)


def test_a_cut_is_wanted_before_it_gets_long():
    engine = make_engine("compiled", RULES[0])
    lines = [b"bucket%d:1|c" % index for index in range(20_000)]
    engine.feed(b"\n".join(lines[:100]))
    assert not engine.wants_compaction
    engine.feed(b"\n".join(lines))
    assert engine.wants_compaction
    engine.serialize_changes()
    assert not engine.wants_compaction


def test_a_cut_is_wanted_when_a_flush_has_left_much_for_it():
    engine = make_engine("compiled", RULES[0])
    engine.feed(b"\n".join(b"a.gauge.with.a.name.%d:1|g" % index for index in range(20_000)))
    engine.serialize_changes()
    found = engine.begin_flush(FORMS[0])
    assert not engine.wants_compaction
    while found.slice(1000) is not None and not engine.wants_compaction:
        pass
    assert engine.wants_compaction
    engine.serialize_changes()
    assert not engine.wants_compaction
