"""What the aggregator tells of itself: ready, a steady stream, lines that wait."""

from dataclasses import replace

import pytest
from checks_support import FAIL, OK, REPORT, UNKNOWN, looks

from graphing.checks import aggregator


def test_an_aggregator_that_does_not_answer_has_failed():
    assert aggregator.judge_ready([], "no /statusz on port 1: Connection refused").state is FAIL
    assert aggregator.judge_ready([REPORT], "").state is OK


def test_an_aggregator_that_is_not_ready_says_why():
    found = aggregator.judge_ready([replace(REPORT, failing={"carbon": "refused", "flush": "late"})], "")
    assert (found.state, found.what) == (FAIL, "the aggregator is not ready: carbon: refused; flush: late")


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ([], UNKNOWN),
        ([5], OK),
        ([0] * 20, UNKNOWN),
        ([5] * 20, OK),
        ([5] * 12 + [0] * 5, OK),
        ([5] * 12 + [0] * 6, FAIL),
        ([5] * 12 + [0] * 30, FAIL),
        ([5] * 12 + [0] * 30 + [1], OK),
        # Who sends now and then is not missed: a job each minute, one at midnight, the first minute of a new client.
        ([5, 0, 0] * 8 + [0] * 12, OK),
        ([0] * 20 + [900] + [0] * 12, OK),
        ([5] * 5 + [0] * 12, OK),
        ([5, 5, 0, 5] * 4 + [0] * 6, OK),
        ([5, 5, 5, 5, 0] * 4 + [0] * 6, FAIL),
    ],
)
def test_a_steady_stream_is_missed_after_two_minutes(values, state):
    assert aggregator.judge_data(looks(0, *values), 120.0).state is state


def test_a_restarted_aggregator_begins_to_count_anew():
    before, after = looks(*[5] * 10), looks(*[5] * 3)
    after = [replace(report, when=report.when + 200, uptime=3.0, own_canaries=11) for report in after]
    assert aggregator.judge_data([*before, *after], 120.0).state is OK


@pytest.mark.parametrize(
    ("queued", "state"),
    [
        ([0, 0, 0], OK),
        ([0, 40, 80], OK),
        ([40], OK),
        ([40, 80, 120], FAIL),
        ([900, 400, 300], OK),
        # What waited more than a minute ago is over.
        ([10, 20, 30, 0, 40, 0], OK),
    ],
)
def test_lines_that_pile_up_are_a_failure(queued, state):
    found = aggregator.judge_journal(looks(*[1] * len(queued), lines_queued=queued))
    assert found.state is state
    assert ("wait for carbon" in found.what) is (queued[-1] > 0)


def test_dropped_lines_are_a_failure_for_a_minute():
    assert aggregator.judge_journal(looks(1, 1, lines_dropped=[0, 7])).state is FAIL
    assert aggregator.judge_journal(looks(1, 1, lines_dropped=[7, 7])).state is OK
    assert aggregator.judge_journal(looks(*[1] * 6, lines_dropped=[0, 7, 7, 7, 7, 7])).state is OK
    assert aggregator.judge_journal([]).state is UNKNOWN


def test_what_is_not_ready_has_its_own_remedy():
    log = "/run/statsd/datagrams can't be made (No space left on device): a crash would lose an interval"
    found = aggregator.judge_ready([replace(REPORT, failing={"log": log, "flush": "late"})], "")
    assert log in found.what
    assert found.remedy.startswith("Free space on /run: `df -h /run`")
    assert found.remedy.endswith("; journalctl -n 30 -u statsd")
