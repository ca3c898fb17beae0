"""Verdicts: the exit status, the order, the summary."""

import pytest
from checks_support import FAIL, OK, UNKNOWN, WARN

from graphing.checks.verdict import Verdict, exit_status, in_order, summary


def verdict(state):
    return Verdict("x", state, "", "")


@pytest.mark.parametrize(
    ("states", "status"), [([], 0), ([OK, UNKNOWN], 0), ([OK, WARN], 1), ([WARN, FAIL, OK], 2), ([FAIL], 2)]
)
def test_the_exit_status_is_that_of_the_worst(states, status):
    assert exit_status(map(verdict, states)) == status


def test_unknown_is_nothing_to_do():
    assert [verdict(state).is_bad for state in (OK, UNKNOWN, WARN, FAIL)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([OK] * 13, "All 13 checks are well."),
        ([OK] * 12 + [UNKNOWN], "12 checks are well, 1 unknown: c12."),
        ([UNKNOWN, OK, UNKNOWN], "1 check is well, 2 unknown: c0, c2."),
        ([UNKNOWN], "0 checks are well, 1 unknown: c0."),
        ([OK, WARN], "1 of 2 checks needs attention."),
        (
            [FAIL, WARN, UNKNOWN],
            "2 of 3 checks need attention, the first may be why the others do, 1 unknown: c2.",
        ),
    ],
)
def test_what_is_unknown_is_not_called_well(states, said):
    assert summary(Verdict(f"c{number}", state, "") for number, state in enumerate(states)) == said


@pytest.mark.parametrize(
    ("bad", "first"),
    [
        # Carbon closed its door because of the reserve.
        (["event", "line", "cache a", "disk /w", "aggregator", "journal"], "disk /w"),
        (["event", "line", "services", "aggregator", "journal", "data"], "services"),
        (["event", "line", "services", "disk /w"], "disk /w"),
        (["event", "clock", "refused a"], "clock"),
        # The relay stands still: the aggregator and its journal wait for it.
        (["event", "line", "aggregator", "journal"], "line"),
        # /run is full, or the aggregator stands still.
        (["event", "aggregator", "drops", "data"], "aggregator"),
        (["line", "event", "web"], "line"),
        (["line", "cache a", "creates a"], "cache a"),
        (["watchdog", "web", "certificate"], "web"),
    ],
)
def test_causes_come_before_symptoms(bad, first):
    found = [Verdict(check, OK, "") for check in ("drops", "disk /other")]
    found += [Verdict(check, FAIL, "") for check in bad]
    found += [Verdict("disk /soon", WARN, ""), Verdict("clock", UNKNOWN, "")]
    ordered = in_order(found)
    assert ordered[0].check == first
    assert [each.state for each in ordered] == [FAIL] * len(bad) + [WARN, UNKNOWN, OK, OK]
    assert in_order(reversed(ordered))[0].check == first
