"""Alarms with hysteresis: bad twice in a row is one, well three times in a row is its end. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from graphing.checks.verdict import State, Verdict

LOOKS_ON = 2
LOOKS_OFF = 3


@dataclass(frozen=True)
class Alarm:
    """What is known of one check."""

    check: str
    on: bool = False
    since: float = 0.0
    """When it went on or off, in seconds since 1970; 0: never."""
    state: State = State.UNKNOWN
    """Of the last look."""
    what: str = ""
    remedy: str = ""
    contrary: int = 0
    """How many looks in a row contradict `on`."""


def after(alarm: Alarm, verdict: Verdict, now: float) -> Alarm:
    """Return the alarm after a look; where nothing can be told, it stays as it is."""
    if verdict.state is State.UNKNOWN:
        return replace(alarm, state=verdict.state)
    contrary = alarm.contrary + 1 if verdict.is_bad != alarm.on else 0
    alarm = replace(alarm, state=verdict.state, what=verdict.what, remedy=verdict.remedy, contrary=contrary)
    if contrary >= (LOOKS_OFF if alarm.on else LOOKS_ON):
        return replace(alarm, on=not alarm.on, since=now, contrary=0)
    return alarm


class Alarms:
    """All of them by check."""

    def __init__(self, known: Iterable[Alarm] = ()) -> None:
        self.by_check = {alarm.check: alarm for alarm in known}

    def look(self, verdicts: Iterable[Verdict], now: float) -> list[Alarm]:
        """Take the verdicts of a look; return the alarms that went on or off with it."""
        changed = []
        seen = {verdict.check: verdict for verdict in verdicts}
        # A check that is no longer made is well: its disk was taken out, its certificate is no longer wanted.
        gone = [Verdict(check, State.OK, "no longer checked") for check in self.by_check.keys() - seen.keys()]
        for verdict in (*seen.values(), *gone):
            before = self.by_check.get(verdict.check, Alarm(verdict.check))
            alarm = self.by_check[verdict.check] = after(before, verdict, now)
            if alarm.on != before.on:
                changed.append(alarm)
        return changed
