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


def exit_status(verdicts: Iterable[Verdict]) -> int:
    """Return 0 if all is well, 1 for warnings alone, 2 if anything failed: what Nagios and its like expect too."""
    states = {verdict.state for verdict in verdicts}
    return 2 if State.FAIL in states else 1 if State.WARN in states else 0
