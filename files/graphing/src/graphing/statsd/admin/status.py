"""Health at a glance: what /healthz, /readyz and /statusz say of a running aggregator. Pure.

`ServerView` takes the snapshot, `http` carries the answer.
"""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphing import __version__
from graphing.statsd.model.health import Counted

_JOURNAL_SHARE = 0.9
"""Of its bound; a full journal drops its oldest sixteenth."""


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand now. Times are in seconds, sizes in bytes."""

    engine: str
    uptime: float
    interval: int
    health: str
    """`up` or `down`, as the management console was told."""
    totals: Counted
    """Since the start of the process."""
    since_received: float | None
    """None: nothing has come yet."""
    since_flush: float
    """From the end of the last interval that was flushed; before the first flush, from the start."""
    flush_duration: float
    lines_queued: int
    journal_bytes: int
    journal_limit: int
    """0 without a journal."""
    carbon_trouble: str
    """Why there is no connection to carbon; empty while there is one."""
    unprotected: str
    """Why a crash of the process would lose what it has received; empty as long as it would not."""
    lately: dict[str, Any]
    """What was refused in the last minutes, as `Refusals.report` returns it."""


class Page(NamedTuple):
    """What is answered: the status code of HTTP, and JSON."""

    code: int
    body: bytes


def failing(status: Status) -> dict[str, str]:
    """Return what keeps numbers from getting through, or from surviving a crash, by check; empty when all is well."""
    found = {}
    if status.health != "up":
        found["health"] = "set down at the management console"
    # A flush of very many buckets takes a while after the interval's end.
    if status.since_flush > 2 * status.interval + 5:
        found["flush"] = f"the last one was {status.since_flush:.0f} s ago, the interval is {status.interval} s"
    if status.carbon_trouble:
        found["carbon"] = f"{status.carbon_trouble}; {status.lines_queued} lines wait"
    if status.lines_queued and status.journal_bytes > _JOURNAL_SHARE * status.journal_limit > 0:
        found["journal"] = f"{status.journal_bytes} of {status.journal_limit} bytes are taken: the oldest lines go next"
    if status.unprotected:
        found["log"] = f"{status.unprotected}: a crash of the aggregator would lose an interval"
    return found


def page(path: str, status: Status) -> Page | None:
    """Return what is answered to a path, or None if there is no such page."""
    if path == "/healthz":
        # Whoever can answer is alive.
        return _page(200, {"status": "ok"})
    wrong = failing(status)
    if path == "/readyz":
        return _page(503 if wrong else 200, {"ready": not wrong, "failing": wrong})
    return _page(200, statusz(status, wrong)) if path == "/statusz" else None


def statusz(status: Status, wrong: dict[str, str]) -> dict[str, Any]:
    """Return the counters since the start; in `values`, `received` is the sum of the four others."""
    totals = status.totals
    values = {
        "aggregated": totals.metrics,
        "bad_lines": totals.bad_lines,
        "type_conflicts": totals.type_conflicts,
        "refused": totals.refused,
    }
    return {
        "version": __version__,
        "engine": status.engine,
        "uptime": round(status.uptime, 3),
        "interval": status.interval,
        "ready": not wrong,
        "failing": wrong,
        "since_received": status.since_received and round(status.since_received, 3),
        "values": {"received": sum(values.values()), **values},
        "lately": status.lately,
        "datagrams": {
            "received": totals.packets,
            "kernel_drops": totals.kernel_drops,
            "resumed": totals.resumed,
        },
        "lines": {
            "sent": totals.lines_sent,
            "replayed": totals.lines_replayed,
            "dropped": totals.lines_dropped,
            "queued": status.lines_queued,
        },
        "journal": {"bytes": status.journal_bytes, "limit_bytes": status.journal_limit},
        "flush": {"seconds_ago": round(status.since_flush, 3), "duration": round(status.flush_duration, 6)},
    }


def _page(code: int, content: dict[str, Any]) -> Page:
    return Page(code, json.dumps(content, indent=2).encode() + b"\n")
