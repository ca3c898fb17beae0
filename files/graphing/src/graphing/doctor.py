"""`graphing doctor`: is a number on its way? Sends a canary each way, follows it, and says what else is wrong.

Exit status: 0 all well, 1 warnings alone, 2 something failed, or doctor could not look.
"""

import json
import time
from collections.abc import Iterable
from typing import TextIO

from graphing.checks import canary
from graphing.checks.lookout import Lookout
from graphing.checks.settings import CheckSettings
from graphing.checks.verdict import Verdict, exit_status, in_order, summary
from graphing.watchdog import state

_POLL_SECONDS = 1.0
_BROKEN_SECONDS = 5.0
"""A hop may be closed for a moment, while a service restarts."""


def run(settings: CheckSettings, as_json: bool, out: TextIO) -> int:
    """Look once, print what was found, and return the exit status. Raises ConfigError."""
    verdicts = examine(settings)
    out.write(json_text(verdicts) if as_json else "\n".join([*table(verdicts), ""]))
    return exit_status(verdicts)


def examine(settings: CheckSettings) -> list[Verdict]:
    """Send the canaries, wait until they have arrived or can't, and judge everything, what is worst first.

    Raises ConfigError.
    """
    lookout = Lookout(settings)
    sent = round(time.time(), 3)
    lookout.sightings(sent, sent)  # what there was before
    lookout.send(sent)
    deadline = time.monotonic() + 2 * lookout.interval + 10
    broken_since: float | None = None
    while True:
        now = time.time()
        sightings = lookout.sightings(sent, now)
        if all(map(canary.arrived, sightings)):
            break
        clock = time.monotonic()
        broken_since = (broken_since or clock) if any(map(canary.broken, sightings)) else None
        if clock >= deadline or (broken_since and clock - broken_since >= _BROKEN_SECONDS):
            break
        time.sleep(_POLL_SECONDS)
    now = time.time()
    return in_order([*lookout.judge(sightings, now), state.judge(state.read(settings.watchdog.state_file), now)])


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
