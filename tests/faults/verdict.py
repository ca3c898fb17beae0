"""The verifier: what became of the oracle's numbers, by the whisper files and by /render, and the balance."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from oracle import ON_HOST, Ledger, by_stamp
from site_under_test import GRAPHING_PYTHON, Site

WHISPER = "/var/lib/graphite/whisper"
RECOVERY = 60.0
"""Seconds that the system has, once the fault is over."""

Points = dict[int, float]


@dataclass(frozen=True)
class Found:
    """What one way of looking found."""

    counts: dict[str, Points]
    """Of each bucket, how many events each interval had."""
    sums: dict[str, Points]
    lines: dict[str, Points]
    broken: tuple[str, ...] = ()
    """Files that are not whisper files."""


@dataclass(frozen=True)
class Verdict:
    """What is wrong; nothing is, if all are zero."""

    missing: int = 0
    """Events and points that are not there, and intervals without a point."""
    spurious: int = 0
    """Points that nobody sent, values that are not those sent, zeros of intervals in which events came."""
    duplicated: int = 0
    """Events that count twice."""
    broken: int = 0
    """Files that cannot be read."""
    missing_lines: int = 0
    """Of the missing, points sent to the relay."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.spurious or self.duplicated or self.broken)

    def __or__(self, other: Verdict) -> Verdict:
        """The worse of two ways of looking, figure by figure."""
        return Verdict(
            max(self.missing, other.missing),
            max(self.spurious, other.spurious),
            max(self.duplicated, other.duplicated),
            max(self.broken, other.broken),
            max(self.missing_lines, other.missing_lines),
        )


@dataclass(frozen=True)
class Allowed:
    """What the fault itself takes away."""

    lines: frozenset[str] = frozenset()
    """Series that it damaged."""
    away: tuple[tuple[float, float], ...] = ()
    """From when to when the aggregator was not there: events that came meanwhile count when it is back."""

    def is_away(self, stamp: int, step: int) -> bool:
        """Tell whether all of the interval that ends at `stamp` was such a time."""
        return any(start <= stamp - step and stamp <= end for start, end in self.away)


def judge(ledger: Ledger, found: Found, allowed: Allowed, step: int = Site.interval) -> Verdict:
    """Compare what was found with the ledger."""
    missing = spurious = duplicated = 0
    for bucket, (count, total) in ledger.events.items():
        points = found.counts.get(bucket, {})
        there = sum(points.values())
        missing += max(0, round(count - there))
        duplicated += max(0, round(there - count))
        if there == count and sum(found.sums.get(bucket, {}).values()) != total:
            # As many as there should be, but not the same.
            missing, duplicated = missing + 1, duplicated + 1
        live = [stamp for stamp, value in points.items() if value]
        if live:
            within = {stamp: points.get(stamp) for stamp in range(min(live), max(live) + 1, step)}
            missing += sum(1 for stamp, value in within.items() if value is None and not allowed.is_away(stamp, step))
            spurious += list(within.values()).count(0)
    missing_lines = 0
    for series, points in ledger.lines.items():
        if series not in allowed.lines:
            there_points = found.lines.get(series, {})
            missing_lines += len(points.keys() - there_points.keys())
            spurious += sum(1 for stamp, value in there_points.items() if points.get(stamp) != value)
    spurious += len(found.lines.keys() - ledger.lines.keys() - allowed.lines)
    return Verdict(missing + missing_lines, spurious, duplicated, len(found.broken), missing_lines)


def on_disk(site: Site, ledger: Ledger) -> Found:
    """Read the whisper files."""
    script = (ON_HOST / "stored.py").read_text()
    path = ledger.name.replace(".", "/")

    def read(pattern: str) -> dict[str, Points | None]:
        files = json.loads(site.python(script, [WHISPER, pattern], GRAPHING_PYTHON))
        return {name: points and by_stamp(points) for name, points in files.items()}

    counts, sums = read(f"stats/{path}/e*/count.wsp"), read(f"stats/{path}/e*/sum.wsp")
    lines = read(f"{path}/l*.wsp")
    broken = [name for files in (counts, sums, lines) for name, points in files.items() if points is None]
    return Found(
        {Path(name).parent.name[1:]: points or {} for name, points in counts.items()},
        {Path(name).parent.name[1:]: points or {} for name, points in sums.items()},
        {Path(name).stem: points or {} for name, points in lines.items()},
        tuple(broken),
    )


def rendered(site: Site, ledger: Ledger) -> Found:
    """Ask /render."""
    start = str(int(ledger.began) - 2 * site.interval)

    def ask(target: str, part: int) -> dict[str, Points]:
        return {name.split(".")[part]: points for name, points in site.render(target, start).items()}

    depth = ledger.name.count(".") + 1
    counts, sums = (ask(f"stats.{ledger.name}.e*.{leaf}", depth + 1) for leaf in ("count", "sum"))
    return Found(
        {name[1:]: points for name, points in counts.items()},
        {name[1:]: points for name, points in sums.items()},
        ask(f"{ledger.name}.l*", depth),
    )


@dataclass(frozen=True)
class Settled:
    """The end of a fault: the verdict, and how many seconds after healing nothing was wrong any more, if ever."""

    verdict: Verdict
    seconds: float
    seen: str = ""
    """Which way of looking found something wrong last."""


def settle(
    site: Site,
    ledger: Ledger,
    promised: Callable[[Verdict], bool],
    allowed: Allowed,
    deadline: float,
) -> Settled:
    """Look both ways until all is as promised, for at most the time that a recovery may take.

    The last interval ends after the last event, so what was sent until then can be there at the earliest one flush
    later; the deadline counts from there.
    """
    healed = time.monotonic()
    end = healed + deadline + 2 * site.interval
    while True:
        seen = "in the files"
        verdict = judge(ledger, on_disk(site, ledger), allowed)
        if promised(verdict):
            seen = "by /render"
            verdict |= judge(ledger, rendered(site, ledger), allowed)
        now = time.monotonic()
        if promised(verdict) or now >= end:
            return Settled(verdict, now - healed, seen)
        time.sleep(0.5)


@dataclass(frozen=True)
class Balance:
    """accepted = delivered + queued + sum(dropped by named reason), from the daemon's own counters.

    In values; only what is queued, or dropped from the queue, is counted in lines, and should be none in the end.
    """

    issued: int
    delivered: int
    queued: int
    dropped: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether every value is accounted for."""
        return self.issued == self.delivered + self.queued + sum(self.dropped.values())

    def __str__(self) -> str:
        reasons = ", ".join(f"{name} {count:,}" for name, count in self.dropped.items() if count) or "none"
        return f"issued {self.issued:,} = delivered {self.delivered:,} + queued {self.queued:,} + dropped: {reasons}"


REASONS = ("bad_lines", "type_conflicts", "refused", "kernel_drops", "lines.dropped")


def balance(site: Site, ledger: Ledger, since: float, also: int = 0) -> Balance:
    """Read the aggregator's counters since then (seconds since 1970); `also` are values that were sent besides.

    Nobody else may have sent to it meanwhile (see fixture `calm`).
    """
    first = int(since) - int(since) % site.interval

    def total(name: str) -> int:
        points = site.render(name, str(first)).get(name, {})
        return round(sum(value for stamp, value in points.items() if stamp > first))

    return Balance(
        ledger.event_count + also,
        total("statsd.metrics.count"),
        queued(site),
        {reason: total(f"statsd.{reason}.count") for reason in REASONS},
    )


def queued(site: Site) -> int:
    """Lines that the aggregator has not delivered, as its console tells; none may be left when all is over."""
    answer = site.python(CONSOLE, "stats")
    return next(int(line.split()[1]) for line in answer.splitlines() if line.startswith("graphite.lines_queued:"))


CONSOLE = """
import json, socket, sys
connection = socket.create_connection(("127.0.0.1", 8126), timeout=10)
connection.sendall(f"{json.load(sys.stdin)}\\nquit\\n".encode())
while data := connection.recv(65536):
    print(data.decode(), end="")
"""
"""Give the management console a command and print its answer."""
