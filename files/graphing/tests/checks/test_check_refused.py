"""Values that the aggregator refuses, with the busiest names."""

import pytest
from checks_support import OK, UNKNOWN, WARN

from graphing.checks import refused
from graphing.checks.refused import Lately, RefusedBucket, Slot


def slots(*refused_by_slot, received=1000):
    return [Slot(received, each) for each in refused_by_slot]


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ([], OK),
        (slots(0, 0, 0, 0, 0), OK),
        # A bad line, ever or now and then.
        (slots(0, 0, 1, 0, 0), OK),
        (slots(1, 0, 0, 1, 0), OK),
        (slots(0, 30, 0, 0, 0), OK),
        (slots(1, received=1), OK),
        # One each minute, or each second.
        (slots(1, 1, 0, 1, 0), WARN),
        (slots(1, 0, 1, 1, 0, received=1_000_000), WARN),
        (slots(40, 40, 40, 40, 40), WARN),
        # Many at once.
        (slots(0, 500, 0, 0, 0), WARN),
        (slots(0, 500, 0, 0, 0, received=1_000_000), OK),
        (slots(0, 60_000, 0, 0, 0, received=1_000_000), WARN),
        # Over: what came longer ago has no slot any more.
        (slots(40, 40, 0, 0, 0), OK),
    ],
)
def test_refused_values_are_worth_a_warning_if_they_are_many_or_come_steadily(seen, state):
    assert refused.judge(Lately(seen, [])).state is state


def test_the_busiest_names_are_told_with_why_who_and_what_to_do():
    busiest = [
        RefusedBucket("jobs.mail", "type_conflicts", 1200, "it is a counter already", "192.0.2.7 port 40000"),
        RefusedBucket("cpu\x1b[2J", "bad_lines", 7, "no value", ""),
        RefusedBucket("a", "bad_lines", 2, "unknown type", ""),
        RefusedBucket("b", "refused", 1, "there are max_buckets buckets already", ""),
    ]
    found = refused.judge(Lately(slots(300, 300, 300, 300, 9), busiest))
    assert found.what == (
        "the aggregator has refused 1,209 of 5,000 values in 200 s, most often 'jobs.mail' 1,200 times (it is a "
        "counter already, from 192.0.2.7 port 40000); 'cpu\\x1b[2J' 7 times (no value); 'a' 2 times (unknown type)"
    )
    assert found.remedy.startswith("A bucket keeps the type of its first event")
    assert "Correct the sender's lines" in found.remedy
    assert "statsd_max_buckets" not in found.remedy, "is none of those that are shown"


def test_an_aggregator_that_does_not_tell_is_unknown():
    assert refused.judge(None).state is UNKNOWN
