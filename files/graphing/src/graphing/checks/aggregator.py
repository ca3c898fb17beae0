"""What the aggregator of this host says of itself: asked by HTTP at /statusz, judged here."""

import itertools
import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphing.checks import refused
from graphing.checks.verdict import State, Verdict

_TIMEOUT = 3.0
_LONGEST = 64 * 1024
_RECENT = 60.0
_STEADY_LOOKS = 9
"""So many looks in a row with data make a stream that is missed when it ends."""
_STEADY_SHARE = 0.8

_REMEDY = "systemctl restart statsd; journalctl -n 30 -u statsd"
_READ = "journalctl -n 30 -u statsd"
_REMEDIES = {
    "carbon": "Let carbon take the lines: see the check line; journalctl -n 30 -u statsd -u carbon-c-relay",
    "log": "Free space on /run: `df -h /run`, `du -xh /run | sort -h | tail`, and a larger one by `mount -o "
    "remount,size=64M /run` (to stay: RUNSIZE in /etc/initramfs-tools/initramfs.conf, or a line in /etc/fstab); then "
    "systemctl restart statsd",
    "health": "echo 'health up' to its console (statsd_console_port) sets its health to up again",
}
"""By the aggregator's own checks."""

# Talk to this host alone, whatever proxy the environment names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Report:
    """One look at the aggregator; counters are since its start."""

    when: float
    """Seconds since 1970."""
    uptime: float
    received: int
    """Values, whatever became of them."""
    datagrams: int
    lines_queued: int
    lines_dropped: int
    journal_bytes: int
    journal_limit: int
    failing: dict[str, str]
    """Why it is not ready, by its own checks."""
    own_canaries: int = 0
    """How many of the values were ours."""
    lately: refused.Lately | None = None
    """What it refused in the last minutes."""
    kernel_drops: int = 0
    """Datagrams that the kernel threw away, on any of its sockets."""


class NoReport(OSError):  # noqa: N818 - what is missing
    """The aggregator does not answer; `str()` says why."""


def measure(port: int, now: float, own_canaries: int) -> Report:
    """Ask the aggregator on this host. Raises NoReport."""
    try:
        with _opener.open(f"http://127.0.0.1:{port}/statusz", timeout=_TIMEOUT) as answer:
            said = json.loads(answer.read(_LONGEST))
        return report_of(said, now, own_canaries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "reason", None) or error
        raise NoReport(
            f"no /statusz on 127.0.0.1 port {port}: {getattr(reason, 'strerror', None) or reason}"
        ) from error


def report_of(said: dict[str, Any], now: float, own_canaries: int) -> Report:
    """Read an answer of /statusz."""
    return Report(
        when=now,
        uptime=float(said["uptime"]),
        received=int(said["values"]["received"]),
        datagrams=int(said["datagrams"]["received"]),
        lines_queued=int(said["lines"]["queued"]),
        lines_dropped=int(said["lines"]["dropped"]),
        journal_bytes=int(said["journal"]["bytes"]),
        journal_limit=int(said["journal"]["limit_bytes"]),
        failing={str(name): str(why) for name, why in said["failing"].items()},
        own_canaries=own_canaries,
        # Until its restart by an upgrade, one of an older release does not tell.
        lately=refused.lately_of(said["lately"]) if "lately" in said else None,
        kernel_drops=int(said["datagrams"]["kernel_drops"]),
    )


def judge_ready(seen: Sequence[Report], trouble: str) -> Verdict:
    """Tell whether the aggregator says that it is ready; `trouble`: why there is no report."""
    if trouble:
        return Verdict("aggregator", State.FAIL, trouble, _REMEDY)
    failing = seen[-1].failing
    if failing:
        what = "; ".join(f"{name}: {why}" for name, why in failing.items())
        remedies = dict.fromkeys(_REMEDIES.get(name, _READ) for name in failing)
        return Verdict("aggregator", State.FAIL, f"the aggregator is not ready: {what}", "; ".join(remedies))
    return Verdict("aggregator", State.OK, "the aggregator is ready")


def judge_journal(seen: Sequence[Report]) -> Verdict:
    """Tell whether lines pile up on disk because carbon does not take them, or were dropped from there."""
    if not seen:
        return Verdict("journal", State.UNKNOWN, "the aggregator gives no figures")
    latest = seen[-1]
    recent = [report for report in seen if report.when > latest.when - _RECENT]
    remedy = "Repair the way to carbon: see the checks event and line; journalctl -u carbon-c-relay -u 'carbon-cache@*'"
    dropped = latest.lines_dropped - recent[0].lines_dropped
    if dropped > 0:
        what = f"{dropped:,} lines were dropped within a minute, because the journal is full"
        return Verdict(
            "journal", State.FAIL, what, f"{remedy} A larger statsd_journal_bytes or statsd_journal_seconds keeps more."
        )
    queues = [report.lines_queued for report in recent]
    if len(queues) > 1 and min(queues) > 0 and queues[-1] > queues[0]:
        return Verdict("journal", State.FAIL, f"{queues[-1]:,} lines wait for carbon, and their number grows", remedy)
    waiting = f", {queues[-1]:,} of its lines wait for carbon" if queues[-1] else ""
    return Verdict("journal", State.OK, f"the journal holds {latest.journal_bytes >> 20} MiB{waiting}")


def dropped(seen: Sequence[Report], seconds: float) -> int:
    """Return how many datagrams the kernel has thrown away in so many seconds before the last look."""
    return sum(
        max(0, after.kernel_drops - before.kernel_drops)
        for before, after in itertools.pairwise(seen)
        if after.when > seen[-1].when - seconds and after.uptime > before.uptime
    )


def judge_data(seen: Sequence[Report], silence_seconds: float) -> Verdict:
    """Tell whether a steady stream of values from others has ended for at least `silence_seconds`.

    Who sends now and then is never missed.
    """
    came = _others(seen)
    if not came:
        return Verdict("data", State.UNKNOWN, "too early to tell whether data come in")
    silent_since = next((when for when, values in reversed(came) if values), None)
    latest = came[-1][0]
    if silent_since is None:
        return Verdict("data", State.UNKNOWN, "no client has sent events lately")
    if latest - silent_since < silence_seconds:
        return Verdict("data", State.OK, "data come in")
    before = [values for when, values in came if when <= silent_since][-_STEADY_LOOKS:]
    steady = len(before) == _STEADY_LOOKS and sum(map(bool, before)) >= _STEADY_SHARE * _STEADY_LOOKS
    if not steady:
        return Verdict("data", State.OK, f"no events for {latest - silent_since:.0f} s; clients send only now and then")
    return Verdict(
        "data",
        State.FAIL,
        f"a steady stream of events stopped {latest - silent_since:.0f} s ago",
        "See whether clients run and reach this host: graphing-sniff shows what arrives, statsd_networks who may.",
    )


def _others(seen: Sequence[Report]) -> list[tuple[float, int]]:
    """Return for each look but the first when it was and how many values came from others since the one before."""
    came = []
    for before, after in itertools.pairwise(seen):
        if after.uptime < before.uptime:
            # Started anew: what it has counted since then.
            values = after.received - 1
        else:
            values = after.received - before.received - (after.own_canaries - before.own_canaries)
        came.append((after.when, max(0, values)))
    return came
