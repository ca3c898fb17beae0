"""What the time services say of the clock."""

import pytest
from checks_support import FAIL, OK, UNKNOWN

from graphing.checks import clock

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
