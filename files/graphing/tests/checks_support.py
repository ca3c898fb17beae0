"""What the tests of several checks share: states, a time, what an aggregator reports."""

from dataclasses import replace

from graphing.checks.aggregator import Report
from graphing.checks.verdict import State

OK, UNKNOWN, WARN, FAIL = State.OK, State.UNKNOWN, State.WARN, State.FAIL
NOW = 1_800_000_000.0
GIB = 1 << 30

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
