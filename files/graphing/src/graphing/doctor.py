"""`graphing doctor`: is a number on its way? Sends a canary each way, follows it, and says what else is wrong.

Exit status: 0 all well, 1 warnings alone, 2 something failed, or doctor could not look.

It is the one proof that a number comes through: playbooks ask it for the checks `event`, `line` and `web`.
"""

import json
import sys
import time
from collections.abc import Collection, Iterable
from typing import TextIO

from graphing.checks import canary
from graphing.checks.canary import Sighting
from graphing.checks.lookout import Lookout
from graphing.checks.settings import CheckSettings
from graphing.checks.verdict import Verdict, exit_status, in_order, kind, summary
from graphing.core.polling import poll
from graphing.watchdog import state

_POLL_SECONDS = 1.0
_BROKEN_SECONDS = 5.0
"""A hop may be closed for a moment, while a service restarts."""


def run(settings: CheckSettings, as_json: bool, out: TextIO, only: Collection[str] = (), wait: float = 0.0) -> int:
    """Look, print what was found, and return the exit status. Raises ConfigError.

    `only`: the kinds of checks that are asked for; none for all. `wait`: the seconds that all has to become well.
    """
    verdicts = await_well(settings, only, wait)
    if not verdicts:
        print(f"This host has no check {' or '.join(only)}.", file=sys.stderr)
        return 2
    out.write(json_text(verdicts) if as_json else "\n".join([*table(verdicts), ""]))
    return exit_status(verdicts)


def await_well(settings: CheckSettings, only: Collection[str] = (), wait: float = 0.0) -> list[Verdict]:
    """Examine again until all is well, or for `wait` seconds; return what was found last. Raises ConfigError."""
    return poll(lambda: examine(settings, only), lambda found: not exit_status(found), wait, _POLL_SECONDS)


def examine(settings: CheckSettings, only: Collection[str] = ()) -> list[Verdict]:
    """Send the canaries, wait until they have arrived or can't, and judge everything, what is worst first.

    Where `only` names other kinds of checks, no canary is sent. Raises ConfigError.
    """
    lookout = Lookout(settings)
    sent = round(time.time(), 3)
    sightings = lookout.sightings(sent, sent)  # what there was before
    if _asked(sightings, only):
        lookout.send(sent)
        sightings = _follow(lookout, sent, only)
    now = time.time()
    verdicts = [*lookout.judge(sightings, now), state.judge(state.read(settings.watchdog.state_file), now)]
    return in_order(verdict for verdict in verdicts if not only or kind(verdict.check) in only)


def _asked(sightings: Iterable[Sighting], only: Collection[str]) -> list[Sighting]:
    return [sight for sight in sightings if not only or sight.check in only]


def _follow(lookout: Lookout, sent: float, only: Collection[str]) -> list[Sighting]:
    """Look until the canaries that are asked for have arrived, or can't."""
    deadline = time.monotonic() + 2 * lookout.interval + 10
    broken_since: float | None = None
    while True:
        now = time.time()
        sightings = lookout.sightings(sent, now)
        asked = _asked(sightings, only)
        if all(map(canary.arrived, asked)):
            return sightings
        clock = time.monotonic()
        broken_since = (broken_since or clock) if any(map(canary.broken, asked)) else None
        if clock >= deadline or (broken_since and clock - broken_since >= _BROKEN_SECONDS):
            return sightings
        time.sleep(_POLL_SECONDS)


def json_text(verdicts: Iterable[Verdict]) -> str:
    """Return the findings as JSON, with a newline."""
    found = list(verdicts)
    content = {"status": exit_status(found), "checks": [verdict._asdict() for verdict in found]}
    return json.dumps(content, indent=2) + "\n"


def table(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the findings as lines for people, in their order: what is bad has its remedy below."""
    found = list(verdicts)
    width = max((len(verdict.check) for verdict in found), default=0)
    lines = []
    for verdict in found:
        # Some of what others say is of several lines.
        lines.append(f"{verdict.state:<8} {verdict.check:<{width}}  {' '.join(verdict.what.split())}")
        if verdict.is_bad and verdict.remedy:
            lines.append(f"{'':<8} {'':<{width}}  -> {verdict.remedy}")
    return [*lines, "", summary(found)]
