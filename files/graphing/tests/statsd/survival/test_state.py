"""The state file: nothing is lost or counted twice between two processes."""

import json
import stat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsd_support import DATAGRAMS, PLAIN, normal

from graphing.statsd.model.reference import Engine, Interval, Outcome
from graphing.statsd.survival import state


def of(engine, **more):
    return state.SavedState(interval_end=1700000010, seconds=10, interval=engine.interval(), **more)


def test_a_state_is_read_back_as_it_was(tmp_path):
    engine = Engine(PLAIN)
    engine.feed(b"c:0.1|c\nt:3|ms|@0.1\ng:-2|g\ns:\xff\xe9|s\ns:|s\nv:5|kv|@17\ng:6|g|T18")
    saved = of(engine, counted={"packets": 3}, kernel_drops=7, lines=["a 1 2\n", "b 1 2\n"])
    path = tmp_path / "state.json"
    state.save(path, saved)
    assert state.load(path) == saved
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["state.json"]


def test_no_file_is_no_state(tmp_path):
    assert state.load(tmp_path / "state.json") is None


GOOD: dict[str, Any] = {
    "version": 1,
    "interval_end": 1700000010,
    "seconds": 10,
    "interval": {"counters": {"a": 1.0}, "timers": {}, "unsent": {}, "gauges": {}, "sets": {}},
    "counted": {},
    "kernel_drops": 0,
    "lines": [],
}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        json.dumps({**GOOD, "version": 2}).encode(),
        json.dumps({**GOOD, "seconds": 0}).encode(),
        json.dumps({**GOOD, "interval_end": "soon"}).encode(),
        json.dumps({**GOOD, "lines": ["a 1 2\nb 1 2\n"]}).encode(),
        json.dumps({**GOOD, "interval": {**GOOD["interval"], "counters": {"../a": 1}}}).encode(),
        json.dumps({**GOOD, "interval": {**GOOD["interval"], "counters": {"a": 10**400}}}).encode(),
        json.dumps({**GOOD, "interval": {**GOOD["interval"], "timers": {"a": ["x"]}}}).encode(),
        b"[" * 100_000,
    ],
)
def test_a_corrupt_file_is_set_aside_and_named(tmp_path, caplog, content):
    path = tmp_path / "state.json"
    path.write_bytes(content)
    assert state.load(path) is None
    assert (tmp_path / "state.json.corrupt").read_bytes() == content
    assert not path.exists()
    assert f"{path} is corrupt" in caplog.text


def test_the_good_file_that_those_are_made_from_is_good(tmp_path):
    path = tmp_path / "state.json"
    path.write_text(json.dumps(GOOD))
    assert state.load(path).interval == Interval(counters={"a": 1.0})


@given(st.lists(DATAGRAMS, max_size=8), st.integers(0, 8))
def test_an_interrupted_run_equals_an_uninterrupted_one(tmp_path_factory, datagrams, cut):
    path = tmp_path_factory.getbasetemp() / "state.json"
    whole = Engine(PLAIN)
    for datagram in datagrams:
        whole.feed(datagram)
    first, second = Engine(PLAIN), Engine(PLAIN)
    for datagram in datagrams[:cut]:
        first.feed(datagram)
    state.save(path, of(first))
    second.restore(state.load(path).interval)
    assert second.collect_outcome() == Outcome()
    for datagram in datagrams[cut:]:
        second.feed(datagram)
    assert normal(second.interval()) == normal(whole.interval())
    assert normal(second.end_interval()) == normal(whole.end_interval())
    assert second.now == whole.now


def test_a_bucket_that_a_new_configuration_forbids_is_named():
    engine = Engine(PLAIN)
    engine.restore(Interval(counters={"a": 1.0}, gauges={"a": 2.0}))
    assert [complaint.subject for complaint in engine.collect_outcome().complaints] == ["a"]
    assert engine.now == Interval(counters={"a": 1.0})
