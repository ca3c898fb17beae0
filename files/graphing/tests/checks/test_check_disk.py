"""Disks that fill up, and when that is told."""

import itertools
import math

import pytest
from checks_support import FAIL, GIB, NOW, OK, WARN

from graphing.checks import disk
from graphing.checks.disk import Space


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
