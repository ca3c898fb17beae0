"""Whether the kernel throws datagrams away because nobody takes them fast enough."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from graphing.checks.aggregator import Report, dropped
from graphing.checks.verdict import State, Verdict

_TABLES = (Path("/proc/self/net/udp"), Path("/proc/self/net/udp6"))
_SECONDS = 60.0


class Queue(NamedTuple):
    """The sockets of a UDP port, as the kernel counts."""

    when: float
    """Seconds since 1970."""
    sockets: int
    waiting: int
    """Bytes that nobody has taken yet."""
    drops: int
    """Since the sockets were made."""


def measure(port: int, now: float) -> Queue:
    """Look at a UDP port of this host."""
    return queue_of(port, now, *(table.read_text(encoding="ascii") for table in _TABLES if table.exists()))


def queue_of(port: int, now: float, *tables: str) -> Queue:
    """Add up what the kernel's tables say of a port; see Linux's Documentation/networking/proc_net_tcp.rst."""
    sockets = waiting = drops = 0
    for table in tables:
        for line in table.splitlines()[1:]:
            columns = line.split()
            if int(columns[1].rpartition(":")[2], 16) == port:
                sockets += 1
                waiting += int(columns[4].partition(":")[2], 16)
                drops += int(columns[-1])
    return Queue(now, sockets, waiting, drops)


def judge(port: int, seen: Sequence[Queue], reports: Sequence[Report] = ()) -> Verdict:
    """Tell of the looks at a port, oldest first, whether datagrams were dropped within the last minute of them.

    `reports`: the aggregator's own, which tell of its sockets in other network namespaces too.
    """
    check, latest = "drops", seen[-1]
    if not latest.sockets:
        return Verdict(check, State.UNKNOWN, f"nobody listens on {port}/udp")
    # Fewer than before: the sockets are new ones.
    lost = sum(
        max(0, after.drops - before.drops)
        for before, after in itertools.pairwise(seen)
        if after.when > latest.when - _SECONDS
    )
    lost = max(lost, dropped(reports, _SECONDS))
    if lost:
        return Verdict(
            check,
            State.FAIL,
            f"the kernel has dropped {lost:,} datagrams on {port}/udp in a minute; {latest.waiting:,} bytes wait",
            "More datagrams arrive than the aggregator can receive: see `top` for a busy processor, raise "
            "statsd_receive_buffer, let clients send several events in a datagram, or sample.",
        )
    drops = max(latest.drops, reports[-1].kernel_drops if reports else 0)
    ever = f"; {drops:,} since the socket was opened" if drops else ""
    return Verdict(check, State.OK, f"the kernel drops no datagrams on {port}/udp{ever}")
