"""Datagrams that the kernel drops."""

from dataclasses import replace

import pytest
from checks_support import FAIL, NOW, OK, UNKNOWN, looks

from graphing.checks import drops
from graphing.checks.drops import Queue

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
