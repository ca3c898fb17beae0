"""The verdicts of all checks, each over what was measured."""

import http.server
import itertools
import math
import ssl
import subprocess
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from ports import reserve_port

from graphing.checks import aggregator, canary, carbon, certificate, clock, disk, drops, refused, services, web
from graphing.checks.aggregator import Report
from graphing.checks.canary import Sighting
from graphing.checks.carbon import CacheCounts
from graphing.checks.disk import Space
from graphing.checks.drops import Queue
from graphing.checks.refused import Lately, RefusedBucket, Slot
from graphing.checks.services import Unit
from graphing.checks.verdict import State, Verdict, exit_status, in_order, summary

OK, UNKNOWN, WARN, FAIL = State.OK, State.UNKNOWN, State.WARN, State.FAIL
NOW = 1_800_000_000.0
GIB = 1 << 30


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


# The canary

THERE = Sighting(
    "event",
    "8125/udp",
    since=NOW,
    caches={"a": "", "b": ""},
    cached=0.0,
    filed=NOW,
    file="/w/x.wsp",
    rendered=NOW,
)
NOT_YET = replace(THERE, filed=NOW - 20, rendered=NOW - 20)


def test_a_number_that_came_through_is_well():
    found = canary.judge(THERE, NOW + 11)
    assert found.state is OK
    assert found.what == "a number sent to 8125/udp is in the graph, 11 s after it was sent"
    assert not found.remedy


REFUSED = "port 7102: Connection refused"


@pytest.mark.parametrize(
    ("seen", "hop", "remedy"),
    [
        ({"socket": "nobody listens on 8125/udp"}, "socket: nobody listens", "statsd.socket"),
        ({"aggregator": "no /statusz on port 8127"}, "aggregator: no /statusz", "systemctl restart statsd"),
        ({"relay": "nobody takes lines"}, "relay: nobody takes lines", "carbon-c-relay"),
        ({"caches": {"a": "", "b": REFUSED}}, f"carbon: carbon-cache@b: {REFUSED}", "restart carbon-cache@b"),
        ({"queued": 40}, "aggregator: 40 of its lines wait", "journalctl"),
        ({}, "relay: the relay received the number", "carbon-c-relay"),
        ({"cached": NOW}, "file: carbon holds it in memory and has not written it to /w/x.wsp", "df -h"),
        ({"cached": NOW, "file_trouble": "/w/x.wsp: Permission denied"}, "file: /w/x.wsp: Permission", "df -h"),
        ({"filed": NOW}, "render: the number is in the file", "graphite-web"),
        ({"filed": NOW, "render": "/render answers 502"}, "render: /render answers 502", "graphite-web"),
    ],
)
def test_a_number_that_stops_is_followed_to_its_hop(seen, hop, remedy):
    found = canary.judge(replace(NOT_YET, **seen), NOW + 30)
    assert found.state is FAIL
    assert found.what.startswith(f"a number sent to 8125/udp stops at {hop}")
    assert remedy in found.remedy


def test_a_number_that_a_store_elsewhere_has_not_got_stops_there():
    elsewhere = replace(NOT_YET, caches=None, filed=0.0)
    found = canary.judge(elsewhere, NOW + 30)
    assert (found.state, found.what.partition(" stops at ")[2].partition(":")[0]) == (FAIL, "store")
    assert (
        "stops at render: /render answers 502"
        in canary.judge(replace(elsewhere, render="/render answers 502"), NOW).what
    )


def test_the_first_hop_that_is_closed_counts():
    everything = replace(NOT_YET, relay="relay", aggregator="aggregator", render="render", caches={"a": "carbon"})
    assert " stops at aggregator: " in canary.judge(everything, NOW).what
    assert " stops at carbon: " in canary.judge(replace(everything, relay="", aggregator=""), NOW).what


CLOSED = "its disk has 100 MiB left, and carbon keeps 1 GiB in reserve (carbon_disk_reserve)"


@pytest.mark.parametrize(
    ("seen", "stop"),
    [
        ({}, "stops at carbon: it accepts no points: "),
        ({"queued": 40}, "stops at carbon: it accepts no points: "),
        (
            {"cached": NOW, "rendered": NOW},
            "not on disk: carbon holds it in memory and has not written it to /w/x.wsp: ",
        ),
        (
            {"cached": NOW, "rendered": NOW, "file_trouble": "/w/x.wsp: No such file"},
            "has not written it to /w/x.wsp: ",
        ),
    ],
)
def test_a_closed_door_is_named_with_its_cause_and_not_the_relay(seen, stop):
    sight = replace(NOT_YET, closed=CLOSED, **seen)
    found = canary.judge(sight, NOW + 30)
    assert found.is_bad
    assert f"{stop}{CLOSED}" in found.what
    assert "relay" not in found.what + found.remedy
    assert "systemctl restart" not in found.remedy
    assert "Free space" in found.remedy
    assert canary.broken(sight), "waiting is of no use"


def test_what_is_in_memory_alone_is_a_warning():
    found = canary.judge(replace(THERE, filed=NOW - 90, cached=NOW), NOW + 60)
    assert found.state is WARN
    assert "in the graph, but not on disk: carbon holds it in memory" in found.what


def test_a_closed_side_door_does_not_matter_to_a_number_that_came_through():
    assert canary.judge(replace(THERE, aggregator="no /statusz"), NOW).state is OK


@pytest.mark.parametrize(
    ("seen", "arrives"),
    [
        ({"has_render": False}, True),
        ({"has_render": False, "filed": 0.0, "cached": NOW}, False),
        ({"has_render": False, "caches": None, "filed": 0.0}, True),
        ({"has_render": False, "caches": None, "filed": 0.0, "relay": "refused"}, False),
        ({"caches": None, "filed": 0.0}, True),
        ({"caches": None, "filed": 0.0, "rendered": 0.0}, False),
    ],
)
def test_a_host_that_has_only_a_part_of_the_way_judges_that_part(seen, arrives):
    sight = replace(THERE, **seen)
    assert canary.arrived(sight) is arrives
    assert (canary.judge(sight, NOW).state is OK) is arrives


# The aggregator

REPORT = Report(
    when=NOW,
    uptime=1000.0,
    received=0,
    datagrams=0,
    lines_queued=0,
    lines_dropped=0,
    journal_bytes=5 << 20,
    journal_limit=GIB,
    failing={},
)


def looks(*values, **further):
    """A look each 20 s; so many values came from others before each, and one canary of ours."""
    reports, received = [], 0
    for number, others in enumerate(values):
        received += others + 1
        made = replace(REPORT, when=NOW + 20 * number, uptime=1000.0 + 20 * number, received=received)
        reports.append(replace(made, own_canaries=number + 1, **{name: of[number] for name, of in further.items()}))
    return reports


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


# Values that are refused


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


# Datagrams

UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  101: 0100007F:1FBD 00000000:0000 07 00000000:00000100 00:00000000 00000000     0        0 123 2 0000000000000000 7
  102: 0100007F:1FBE 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 124 2 0000000000000000 900
"""
UDP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue ...
 11: 00000000000000000000000000000000:1FBD 00000000000000000000000000000000:0000 07 00000000:00000010 00:00000000 \
00000000     0        0 125 2 0000000000000000 3
"""


def test_the_kernels_tables_are_added_up():
    assert drops.queue_of(8125, NOW, UDP, UDP6) == Queue(NOW, 2, 0x110, 10)
    assert drops.queue_of(8127, NOW, UDP, UDP6) == Queue(NOW, 0, 0, 0)
    assert drops.queue_of(8125, NOW) == Queue(NOW, 0, 0, 0)


@pytest.mark.parametrize(
    ("counted", "state"),
    [
        ([5], OK),
        ([5, 5, 5], OK),
        ([5, 5, 6], FAIL),
        ([5, 9, 9, 9], FAIL),
        ([5, 9, 9, 9, 9, 9], OK),
        ([900, 0, 0], OK),
        ([900, 0, 1], FAIL),
    ],
)
def test_drops_are_a_failure_for_a_minute(counted, state):
    seen = [Queue(NOW + 20 * number, 1, 0, drops) for number, drops in enumerate(counted)]
    assert drops.judge(8125, seen).state is state


def test_drops_that_the_aggregator_alone_sees_are_a_failure_too():
    queues = [Queue(NOW, 1, 0, 0), Queue(NOW + 20, 1, 0, 0)]
    before, after = (replace(report, when=NOW + 20 * number) for number, report in enumerate(looks(1, 1)))
    after = replace(after, uptime=before.uptime + 20, kernel_drops=before.kernel_drops + 744)
    found = drops.judge(8125, queues, [before, after])
    assert found.state is FAIL
    assert "dropped 744 datagrams" in found.what
    later = [replace(after, when=NOW + 20 * number, uptime=after.uptime + 20 * number) for number in range(2, 6)]
    found = drops.judge(8125, queues, [before, after, *later])
    assert found.state is OK
    assert "744 since" in found.what


def test_without_a_socket_nothing_is_known_of_drops():
    assert drops.judge(8125, [Queue(NOW, 0, 0, 0)]).state is UNKNOWN


# Carbon


def sizes(*values, **further):
    return CacheCounts("a", {NOW + 10 * number: value for number, value in enumerate(values)}, **further)


@pytest.mark.parametrize(
    ("counts", "state", "what"),
    [
        (sizes(), UNKNOWN, "reported no metrics"),
        (sizes(12, 40, 12), OK, "holds 12 points in memory of 2,000,000"),
        (sizes(1_200_000), FAIL, "holds 1,200,000 points"),
        (sizes(5, overflows={NOW: 3.0}), FAIL, "is full"),
        (sizes(5, *[6] * 20, overflows={NOW: 3.0}), OK, "holds"),
        (sizes(*range(0, 32_000, 4_000)), WARN, "28,000, 28,000 more"),
        # Two flushes between two counts, none between the next two.
        (sizes(1, 0, 8_001, 8_000, 16_001, 16_000, 24_001, 24_000), WARN, "24,000, 23,999 more"),
        (sizes(0, 4_000, 8_000, 12_000, 16_000, 20_000, 24_000, 19_000), OK, "holds"),
        (sizes(0, 4_000, 8_000, 12_000, 8_000, 16_000, 20_000, 24_000), OK, "holds"),
        (sizes(*range(0, 28_000, 4_000)), OK, "holds"),
        (sizes(*range(0, 320, 40)), OK, "holds"),
    ],
)
def test_a_cache_that_does_not_keep_up(counts, state, what):
    found = carbon.judge_size(counts, 2_000_000)
    assert found.state is state
    assert what in found.what


@pytest.mark.parametrize(
    ("doors", "free", "why"),
    [
        ({}, 5 * GIB, ""),
        ({NOW - 5: 1.0}, 5 * GIB, ""),
        ({}, GIB // 2, "its disk has 512 MiB left, and carbon keeps 1 GiB in reserve (carbon_disk_reserve)"),
        (
            {NOW - 5: 0.0},
            5 * GIB,
            "it has closed its port for lines, because its disk is full, read-only or refuses to write",
        ),
        ({NOW - 15: 0.0, NOW - 5: 1.0}, 5 * GIB, ""),
        ({NOW - 90: 0.0}, 5 * GIB, ""),
    ],
)
def test_a_cache_that_takes_no_points_says_why(doors, free, why):
    counts = sizes(12, doors=doors)
    assert carbon.shut(counts, free, GIB, NOW) == why
    found = carbon.judge_size(counts, 2_000_000, why)
    assert found.state is (FAIL if why else OK)
    assert not why or found.what == f"carbon-cache@a accepts no points: {why}"


@pytest.mark.parametrize(
    ("dropped", "state"),
    [({}, UNKNOWN), ({NOW: 0.0}, OK), ({NOW: 5.0, NOW + 60: 0.0}, FAIL), ({NOW: 5.0, NOW + 151: 0.0}, OK)],
)
def test_dropped_creates(dropped, state):
    assert carbon.judge_creates(sizes(1, dropped_creates=dropped)).state is state


@pytest.mark.parametrize(
    ("waiting", "state"),
    [
        ({}, OK),
        ({NOW - 10: 0.0, NOW: 7.0}, OK),
        ({NOW - 20: 0.0, NOW - 10: 9.0, NOW: 7.0}, WARN),
        ({NOW - 20: 9.0, NOW - 10: 7.0, NOW: 0.0}, OK),
    ],
)
def test_new_series_that_wait_for_their_files(waiting, state):
    found = carbon.judge_creates(sizes(1, dropped_creates={NOW: 0.0}, waiting_creates=waiting))
    assert found.state is state
    assert ("7 new series wait" in found.what) == (state is WARN)


def refused_by_carbon(taken=1000.0, **by_reason):
    """Counts of 200 s, by time before NOW."""
    received = {NOW - back: taken for back in range(0, 200, 10)}
    return sizes(1, received=received, refused={**{why: {NOW: 0.0} for why in carbon.REFUSED}, **by_reason})


@pytest.mark.parametrize(
    ("counts", "state", "what"),
    [
        (sizes(1), UNKNOWN, "has not reported lately"),
        (refused_by_carbon(), OK, "refuses no lines"),
        (refused_by_carbon(malformed={NOW: 1.0}), OK, "refused 1 of 20,001 lines in 200 s: 1 malformed"),
        (refused_by_carbon(future={NOW - 60: 300.0, NOW: 100.0}), WARN, "400 of 20,400 lines in 200 s: 400 future"),
        # collectd has been started.
        (refused_by_carbon(malformed={NOW - 20: 700.0, NOW - 10: 100.0}), OK, "refused 800 of 20,800 lines"),
        (refused_by_carbon(old={NOW - back: 2.0 for back in range(0, 200, 10)}), WARN, ": 40 old"),
        (refused_by_carbon(old={NOW - back: 2.0 for back in range(130, 290, 10)} | {NOW: 0.0}), OK, ": 14 old"),
    ],
)
def test_lines_that_carbon_refuses(counts, state, what):
    found = carbon.judge_refused(counts)
    assert (found.check, found.state) == ("refused a", state)
    assert what in found.what
    assert ("journalctl -u carbon-cache@a -g refused" in found.remedy) == (state is WARN)


# The disk


def filling(*free, every=600.0, total=100 * GIB, files_free=900):
    return [Space(NOW + every * number, "/w", total, int(each), 1000, files_free) for number, each in enumerate(free)]


@pytest.mark.parametrize(
    ("seen", "state", "what"),
    [
        (filling(50 * GIB), OK, "/w: 50 % of 100 GiB used"),
        (filling(5 * GIB), FAIL, "/w is full: 95 %"),
        (filling(50 * GIB, files_free=50), FAIL, "50 inodes left"),
        # Two hours at 1 GiB each 10 minutes: 38 GiB last for 6 hours.
        (filling(*(GIB * (50 - n) for n in range(13))), WARN, "full in 6 hours"),
        # As fast, but over since half an hour: nothing to fear.
        (filling(*(GIB * (50 - n) for n in range(13)), *[38 * GIB] * 8), OK, "62 %"),
        # As fast, but only for the last minutes of six hours: a burst.
        (filling(*[50 * GIB] * 36, 49 * GIB), OK, "51 %"),
        # 20 MiB each 10 minutes: full in weeks.
        (filling(*((50 * GIB) - (n * 20 << 20) for n in range(36))), OK, "51 %"),
        # The first quarter of an hour.
        (filling(*(GIB * (50 - 2 * n) for n in range(16)), every=60.0), OK, "80 %"),
        # Falling fast, but seen for ten seconds.
        (filling(50 * GIB, 49 * GIB, every=10.0), OK, "51 %"),
        # Getting emptier.
        (filling(*(GIB * (30 + n) for n in range(13))), OK, "58 %"),
    ],
)
def test_a_disk_that_fills_up(seen, state, what):
    found = disk.judge(seen, 95.0, 48.0)
    assert found.state is state
    assert what in found.what


def first_warning(used, hours):
    """When a disk of which `used(hours)` is used is said to be full soon; None: never within so many hours."""
    seen = []
    for number in range(int(hours * 60)):
        # Not quite even, as no disk is.
        free = int(100 * GIB * (1 - used(number / 60))) + (number * 7919 % 13 << 20)
        seen = disk.thinned([*seen, Space(NOW + 60 * number, "/w", 100 * GIB, free, 0, 0)])
        if disk.judge(seen, 95.0, 48.0).state is not OK:
            return number / 60
    return None


@pytest.mark.parametrize("share", [0.1, 0.27, 0.5])
@pytest.mark.parametrize("hours", [0.1, 0.3, 1.0, 3.0])
def test_the_first_day_of_a_server_is_no_alarm(share, hours):
    """New series get their files, fast at first, then ever more seldom."""
    assert first_warning(lambda now: 0.03 + share * (1 - math.exp(-now / hours)), 24) is None


@pytest.mark.parametrize("quiet", [0.0, 20.0])
@pytest.mark.parametrize("per_hour", [0.5, 0.2, 0.1, 0.05, 0.02])
def test_what_really_fills_a_disk_is_told_in_time(quiet, per_hour):
    """Told before 70 % of what was free are gone, whatever was before."""
    first = first_warning(lambda now: 0.27 + per_hour * max(0.0, now - quiet), quiet + 0.7 / per_hour)
    assert first is not None
    assert quiet < first < quiet + 0.7 * 0.73 / per_hour


@pytest.mark.parametrize(("free", "state"), [(5 * GIB, FAIL), (6 * GIB, OK)])
def test_a_disk_on_which_carbon_is_about_to_stop(free, state):
    found = disk.judge(filling(free), 99.0, 48.0, reserve=3 * GIB)
    assert found.state is state
    assert ("has 5 GiB left; with 3 GiB carbon takes no more points" in found.what) == (state is FAIL)


def test_a_disk_below_the_reserve_says_that_carbon_takes_nothing():
    found = disk.judge(filling(GIB, total=20 * GIB), 90.0, 48.0, reserve=3 * GIB)
    assert (found.state, found.what) == (FAIL, "/w has 1 GiB left: carbon accepts no points with less than 3 GiB")
    assert "Free some space" in found.remedy
    assert "carbon_disk_reserve" in found.remedy


def test_a_growth_is_believed_no_longer_than_it_deserves():
    # Full in 10 days at this rate, and seen for two hours: it isn't said, whatever the limit.
    seen = filling(*((50 * GIB) - (n * 35 << 20) for n in range(13)))
    assert disk.seconds_until_full(seen) is None
    assert disk.judge(seen, 95.0, 8760.0).state is OK


def test_the_history_is_bounded():
    seen = []
    for number in range(3000):
        seen = disk.thinned([*seen, Space(NOW + 20 * number, "/w", GIB, GIB, 0, 0)])
    assert len(seen) <= disk.HISTORY_SECONDS / disk.SAMPLE_SECONDS + 1
    assert seen[-1].when == NOW + 20 * 2999
    assert seen[-1].when - seen[0].when > disk.HISTORY_SECONDS - 2 * disk.SAMPLE_SECONDS
    assert all(b.when > a.when for a, b in itertools.pairwise(seen))


def test_a_real_file_system_is_measured(tmp_path):
    space = disk.measure(str(tmp_path), NOW)
    assert space.total >= space.free > 0
    assert disk.measure(str(tmp_path / "none"), NOW) is None


# The certificate


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A certificate of 30 days."""
    file = tmp_path_factory.mktemp("certificate") / "made.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{file}.key"]
    subject = ["-subj", "/CN=graphs.example", "-addext", "subjectAltName=DNS:graphs.example"]
    command = ["openssl", "req", "-x509", *key, *subject, "-days", "30", "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return file


def test_the_end_of_a_certificate_is_what_openssl_says(made):
    command = ["openssl", "x509", "-in", str(made), "-noout", "-enddate"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    end = datetime.fromtimestamp(certificate.end_of(made.read_text()), UTC)
    assert said == f"notAfter={end:%b} {end.day:>2} {end:%H:%M:%S %Y} GMT"


@pytest.mark.parametrize(
    ("days_before", "state", "what"),
    [(29, OK, "lasts until"), (21.01, OK, "lasts"), (20.9, WARN, "ends in 21 days"), (-0.1, FAIL, "ended on")],
)
def test_a_certificate_is_warned_of_in_time(made, days_before, state, what):
    end = certificate.end_of(made.read_text())
    found = certificate.check_file(str(made), 21, end - days_before * 86_400)
    assert found.state is state
    assert what in found.what


@pytest.mark.parametrize("damage", ["", "none", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"])
def test_a_file_without_a_certificate_fails(tmp_path, damage):
    file = tmp_path / "bad.pem"
    file.write_text(damage)
    found = certificate.check_file(str(file), 21, NOW)
    assert found.state is FAIL
    assert "certificate" in found.what


def test_a_certificate_cut_short_fails(made, tmp_path):
    lines = made.read_text().splitlines()
    file = tmp_path / "cut.pem"
    file.write_text("\n".join([*lines[:3], lines[-1]]))
    assert certificate.check_file(str(file), 21, NOW).what == f"{file} holds a damaged certificate"


def test_a_missing_file_fails(tmp_path):
    assert certificate.check_file(str(tmp_path / "none.pem"), 21, NOW).what.endswith(
        "none.pem: No such file or directory"
    )


# The clock

CHRONY = "A29FC87B,162.159.200.123,4,1763745600.1,{},0.0,0.0,-3.2,0.0,0.02,0.01,0.001,64.2,{}\n"
TIMESYNCD = """\
       Server: 192.0.2.1 (0.debian.pool.ntp.org)
Poll interval: 34min 8s (min: 32s; max 34min 8s)
       Offset: {}
        Delay: 1.5s
"""


@pytest.mark.parametrize(
    ("read", "said", "offset"),
    [
        (clock.of_chrony, CHRONY.format("-0.000012", "Normal"), 0.000012),
        (clock.of_chrony, CHRONY.format("3.5", "Normal"), 3.5),
        (clock.of_chrony, CHRONY.format("0.0", "Not synchronised"), None),
        (clock.of_chrony, "", None),
        (clock.of_timesyncd, TIMESYNCD.format("-1.234ms"), 0.001234),
        (clock.of_timesyncd, TIMESYNCD.format("+310us"), 0.00031),
        (clock.of_timesyncd, TIMESYNCD.format("+1min 2.5s"), 62.5),
        (clock.of_timesyncd, "       Server: n/a (0.debian.pool.ntp.org)\n", None),
        (clock.of_ntpsec, "leap=00, offset=-2500.5\n", 2.5005),
        (clock.of_ntpsec, "leap=11, offset=0.0\n", None),
        (clock.of_ntpsec, "ntpq: read: Connection refused\n", None),
    ],
)
def test_what_the_time_services_say_is_read(read, said, offset):
    assert read(said) == (offset if offset is None else pytest.approx(offset))


@pytest.mark.parametrize(("offset", "state"), [(None, UNKNOWN), (0.2, OK), (0.999, OK), (1.0, FAIL), (3600.0, FAIL)])
def test_a_clock_that_is_off_by_a_second_has_failed(offset, state):
    assert clock.judge(offset, 1.0).state is state


# The web server


@pytest.mark.parametrize(
    ("code", "trouble", "state", "remedy"),
    [
        (200, "", OK, ""),
        (302, "", OK, ""),
        (403, "", OK, ""),
        (502, "", FAIL, "restart graphite-web"),
        (0, "Connection refused", FAIL, "restart nginx"),
    ],
)
def test_the_first_page_is_what_people_meet(code, trouble, state, remedy):
    found = web.judge("https://x", code, trouble)
    assert found.state is state
    assert remedy in found.remedy
    assert (trouble or str(code) if state is FAIL else "answers") in found.what


@pytest.fixture(scope="module")
def shown(made):
    """An https server with that certificate; its address."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, f"{made}.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_certificate_that_is_shown_is_looked_at(made, shown):
    assert certificate.end_of(web.shown_certificate(shown)) == certificate.end_of(made.read_text())
    assert web.measure(shown) == (501, "")


def test_where_nobody_answers_nothing_is_shown():
    url = f"https://localhost:{reserve_port()}"
    assert web.shown_certificate(url) is None
    assert web.measure(url) == (0, "Connection refused")
    assert web.measure(url.replace("https", "http")) == (0, "Connection refused")


# Services

RUNNING = [Unit("statsd.service", "active", "running"), Unit("statsd.socket", "active", "running")]


@pytest.mark.parametrize("how", [("failed", "failed"), ("inactive", "dead"), ("activating", "auto-restart")])
def test_a_service_that_does_not_run_is_named(how):
    found = services.judge("graphing.target", [*RUNNING, Unit("carbon-cache@a.service", *how)])
    assert found.state is FAIL
    assert found.what == f"carbon-cache@a.service is {how[0]} ({how[1]})"
    assert found.remedy.startswith("systemctl start carbon-cache@a.service;")


def test_services_that_run_are_counted():
    assert services.judge("graphing.target", RUNNING).what == "2 units of graphing.target are running"
    assert services.judge("graphing.target", [Unit("a.service", "reloading", "reload")]).state is OK
    assert services.judge("graphing.target", []).state is FAIL
