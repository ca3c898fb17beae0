"""What a check has found."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """How it stands."""

    OK = "ok"
    UNKNOWN = "unknown"
    """It can't be told here, which is no reason to wake anybody."""
    WARN = "warning"
    """Numbers get through, but won't for ever."""
    FAIL = "failed"


class Verdict(NamedTuple):
    """One check's finding."""

    check: str
    state: State
    what: str
    remedy: str = ""
    """What to do; empty if there is nothing to do."""

    @property
    def is_bad(self) -> bool:
        """Whether somebody should do something."""
        return self.state in (State.WARN, State.FAIL)


KINDS = (
    *("disk", "clock", "services", "cache", "creates", "line", "aggregator", "drops", "event", "journal"),
    *("web", "certificate", "refused", "data", "watchdog"),
)
"""The first words of the checks' names, causes first: an earlier one may be why a later one is bad, not the reverse."""

_WORST_FIRST = (State.FAIL, State.WARN, State.UNKNOWN, State.OK)


def rank(check: str) -> int:
    """Return where a check stands among causes and symptoms; one that is not known is a symptom."""
    return KINDS.index(kind(check)) if kind(check) in KINDS else len(KINDS)


def kind(check: str) -> str:
    """Return the first word of a check's name: `disk` of `disk /var`."""
    return check.partition(" ")[0]


def in_order(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return the worst first, and among those as bad as another causes before symptoms."""
    return sorted(verdicts, key=lambda verdict: (_WORST_FIRST.index(verdict.state), rank(verdict.check)))


def summary(verdicts: Iterable[Verdict]) -> str:
    """Return how many checks are well, and which nobody can tell."""
    found = list(verdicts)
    bad = sum(verdict.is_bad for verdict in found)
    unknown = [verdict.check for verdict in found if verdict.state is State.UNKNOWN]
    untold = f", {len(unknown)} unknown: {', '.join(unknown)}" if unknown else ""
    if bad == 1:
        return f"1 of {len(found)} checks needs attention{untold}."
    if bad:
        return f"{bad} of {len(found)} checks need attention, the first may be why the others do{untold}."
    well = len(found) - len(unknown)
    return f"{'' if unknown else 'All '}{well} {'check is' if well == 1 else 'checks are'} well{untold}."


def exit_status(verdicts: Iterable[Verdict]) -> int:
    """Return 0 if all is well, 1 for warnings alone, 2 if anything failed: what Nagios and its like expect too."""
    states = {verdict.state for verdict in verdicts}
    return 2 if State.FAIL in states else 1 if State.WARN in states else 0
