"""What was refused lately and its busiest names: bounded, exact where they are few, and reported by the real daemon."""

import itertools
import json
import random
import urllib.request
from collections import Counter

import pytest
from ports import reserve_port
from programs import wait_for
from support import Carbon, Daemon, send, udp_socket

from graphing.checks import refused
from graphing.checks.aggregator import measure
from graphing.checks.verdict import State
from graphing.statsd.engine.choice import make_engine
from graphing.statsd.intake import refusals
from graphing.statsd.intake.refusals import Refusals, name_of
from graphing.statsd.model.reference import BucketRules, Complaint, Outcome, Reason


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def outcome(metrics=0, **complaints):
    """What an engine hands over: {reason: [(subject, values)]}; it tells the first ten of each reason."""
    made = Outcome(metrics=metrics)
    for reason, subjects in complaints.items():
        for subject, values in subjects:
            for _ in range(values):
                made.complain(Reason(reason), subject, f"why {subject[:1]}", "192.0.2.1 port 5")
    return made


def names(report):
    return {(each["name"], each["reason"]): each["values"] for each in report["busiest"]}


def test_nothing_came_and_nothing_is_told(clock):
    seen = Refusals(clock)
    seen.note(Outcome())
    assert seen.report() == {"seconds": 200.0, "received": [], "refused": [], "busiest": []}


def test_the_told_stand_for_all_that_was_refused_in_a_turn(clock):
    seen = Refusals(clock)
    turn = outcome(metrics=70, bad_lines=[("a:1|x", 4), ("b", 6)], type_conflicts=[("c", 25)], refused=[("d", 1)])
    seen.note(turn, nameless=3)
    report = seen.report()
    assert (report["received"], report["refused"]) == ([109], [39])
    assert names(report) == {
        ("c", "type_conflicts"): 25,
        ("b", "bad_lines"): 6,
        ("a", "bad_lines"): 4,
        ("d", "refused"): 1,
    }
    # The first ten are half of either.
    seen.note(outcome(type_conflicts=[("e", 1), ("f", 1)] * 50))
    assert names(seen.report())["e", "type_conflicts"] == names(seen.report())["f", "type_conflicts"] == 50


def test_why_and_who_are_told(clock):
    seen = Refusals(clock)
    seen.note(outcome(bad_lines=[("mood:happy|g", 2)]))
    assert seen.report()["busiest"] == [
        {"name": "mood", "reason": "bad_lines", "values": 2, "why": "why m", "sender": "192.0.2.1 port 5"}
    ]


@pytest.mark.parametrize(
    ("subject", "name"),
    [("a.b:1,5|c", "a.b"), ("a.b|c", "a.b"), ("nonsense", "nonsense"), ("_e{4,5}:x|y", "_e"), ("", ""), (":", "")],
)
def test_a_bad_line_goes_by_what_stands_for_its_bucket(subject, name):
    assert name_of(Complaint(Reason.BAD, subject, "", "")) == name
    assert name_of(Complaint(Reason.REFUSED, "a:b", "", "")) == "a:b"


def test_what_is_over_is_forgotten(clock):
    seen = Refusals(clock)
    for _ in range(7):
        seen.note(outcome(metrics=9, bad_lines=[("a", 1)]))
        clock.now += refusals.SLOT_SECONDS
    assert seen.report()["refused"] == [1] * (refusals.SLOTS - 1), "and none in the one in progress"
    clock.now += refusals.SLOT_SECONDS * refusals.SLOTS
    assert seen.report()["busiest"] == []


def test_few_names_are_exact_and_many_are_bounded(clock):
    """However many names come, the table is small, and those that come most are in it."""
    seen, sent, chance = Refusals(clock), Counter(), random.Random(7)
    for _ in range(2000):
        for name in (f"busy{chance.randrange(3)}", f"rare{chance.randrange(100_000)}"):
            sent[name] += 5
            seen.note(outcome(bad_lines=[(name, 5)]))
    report = names(seen.report())
    busiest = [name for name, _ in itertools.islice(report, 3)]
    assert set(busiest) == {"busy0", "busy1", "busy2"}
    assert all(report[name, "bad_lines"] == sent[name] for name in busiest)
    slot = next(iter(seen._slots.values()))
    assert len(slot.names) <= 64
    assert len(json.dumps(seen.report())) < 4096


def test_long_names_are_cut(clock):
    seen = Refusals(clock)
    seen.note(outcome(bad_lines=[("x" * 60_000, 3)]))
    assert seen.report()["busiest"][0]["name"] == "x" * 80


def test_both_sides_mean_the_same_slots():
    assert (refused.SLOT_SECONDS, refused.SLOTS) == (refusals.SLOT_SECONDS, refusals.SLOTS)
    assert refused._REMEDIES.keys() == set(Reason)


def test_both_engines_hand_over_enough_to_name_the_busiest(engine_name, clock):
    engine, seen = make_engine(engine_name, BucketRules(max_buckets=4, max_values=3)), Refusals(clock)
    for _ in range(20):
        engine.feed(b"t:1|ms\n" * 8 + b"nonsense\n" * 7 + b"new%d:1|c\n" * 6 + b"good:1|c\n" * 50)
        turn = engine.collect_outcome()
        seen.note(turn)
    report = seen.report()
    assert sum(report["received"]) == 20 * 71
    found = names(report)
    # A bucket's first three values are taken, by either engine; the rest is one reason, of which the table tells some.
    assert found["nonsense", "bad_lines"] == 140
    assert sum(values for (_, reason), values in found.items() if reason == "refused") == sum(report["refused"]) - 140
    assert found["t", "refused"] >= 8


@pytest.fixture
def daemon(tmp_path, engine_name):
    carbon, inbox = Carbon(), udp_socket()

    def start(**settings):
        port = reserve_port()
        tables = {"console": {"http_port": port}}
        Daemon(tmp_path, carbon.port, inbox, tables=tables, engine=engine_name, **settings)
        wait_for(lambda: carbon.points, "the first flush")
        return inbox, port

    yield start
    carbon.close()
    inbox.close()


def test_the_daemon_tells_and_the_check_warns(daemon):
    inbox, port = daemon()
    send(inbox, b"good:1|c", b"kind:1|c")
    wait_for(lambda: measure(port, 0.0, 0).received >= 2, "what is good")
    assert refused.judge(measure(port, 0.0, 0).lately).what == "the aggregator refuses no values"
    send(inbox, b"bad\x1b[2J.line:x|c")
    # The compiled engine notes senders from the first complaint on.
    wait_for(lambda: measure(port, 0.0, 0).received >= 3, "the first bad line")
    send(inbox, *[b"bad\x1b[2J.line:x|c"] * 89, *[b"kind:1|ms"] * 60)
    wait_for(lambda: measure(port, 0.0, 0).received >= 152, "what is not")
    found = refused.judge(measure(port, 0.0, 0).lately)
    assert found.state is State.WARN
    assert "refused 150 of 152 values in 200 s" in found.what
    assert "'bad\\x1b[2J.line' 90 times (value is not a number, from 127.0.0.1 port " in found.what
    assert "'kind' 60 times (" in found.what
    assert "A bucket keeps the type of its first event" in found.remedy
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
        assert answer.status == 200, "that somebody sends nonsense does not make it unready"
