"""What carbon-cache tells of itself: points in memory, new series, lines that it refuses."""

import pytest
from checks_support import FAIL, GIB, NOW, OK, UNKNOWN, WARN

from graphing.checks import carbon
from graphing.checks.carbon import CacheCounts


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
