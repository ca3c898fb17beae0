"""The watchdog's state file: how every alarm stands, rewritten at each look. What reads it judges the watchdog too."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from graphing.checks.verdict import State, Verdict, rank
from graphing.core.atomic import replacing
from graphing.watchdog.alarms import Alarm

_CHECK = "watchdog"
_MISSED_LOOKS = 5
_RESTART = "systemctl restart graphing-watchdog; journalctl -n 30 -u graphing-watchdog"


class Saved(NamedTuple):
    """What a state file holds."""

    when: float
    """Of the last look, in seconds since 1970."""
    interval: float
    """Seconds between two looks."""
    alarms: list[Alarm]


def write(path: str, when: float, interval: float, alarms: Iterable[Alarm]) -> None:
    """Replace the file at once; raise OSError if that can't be."""
    content = {"when": when, "interval": interval, "alarms": [asdict(alarm) for alarm in alarms]}
    with replacing(Path(path), mode=0o644, durable=False) as file:
        file.write(json.dumps(content, indent=2) + "\n")


def read(path: str) -> Saved | None:
    """Return what the file holds; None if it is not there, can't be read or is damaged."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        alarms = [Alarm(**{**each, "state": State(each["state"])}) for each in found["alarms"]]
        return Saved(float(found["when"]), float(found["interval"]), alarms)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def judge(saved: Saved | None, now: float) -> Verdict:
    """Tell whether the watchdog looks, and which alarms are on."""
    if saved is None:
        what = "the watchdog's state file cannot be read: it does not run, or you are not root"
        return Verdict(_CHECK, State.WARN, what, _RESTART)
    age = now - saved.when
    if age > _MISSED_LOOKS * saved.interval + 30:
        return Verdict(_CHECK, State.WARN, f"the watchdog last looked {age:.0f} s ago", _RESTART)
    on = sorted((alarm for alarm in saved.alarms if alarm.on), key=lambda alarm: rank(alarm.check))
    if on:
        what = "; ".join(f"{alarm.check} for {max(0.0, now - alarm.since) / 60:.0f} min: {alarm.what}" for alarm in on)
        remedy = "An alarm ends within five minutes after its cause; journalctl -u graphing-watchdog shows its history."
        return Verdict(_CHECK, State.WARN, f"alarms are on: {what}", remedy)
    unknown = [alarm.check for alarm in saved.alarms if alarm.state is State.UNKNOWN]
    untold = f"; it has no answer for {', '.join(unknown)}" if unknown else ""
    return Verdict(_CHECK, State.OK, f"the watchdog looked {max(0.0, age):.0f} s ago; no alarm is on{untold}")
