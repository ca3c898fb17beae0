"""How far the clock is off, as the service that keeps it says."""

import re
import subprocess
from collections.abc import Callable, Sequence

from graphing.checks.verdict import State, Verdict

_CHECK = "clock"
_TIMEOUT = 5.0
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def judge(offset: float | None, limit: float) -> Verdict:
    """Tell whether the clock is off by `limit` seconds or more; None: nobody here knows."""
    if offset is None:
        return Verdict(
            _CHECK, State.UNKNOWN, "no time service runs here, or it was not compared yet (as in a container)"
        )
    if offset >= limit:
        return Verdict(
            _CHECK,
            State.FAIL,
            f"the clock is off by {offset:.3f} s, and numbers get wrong times",
            "See `timedatectl timesync-status` or `chronyc tracking`; `systemctl restart` of the time service sets it.",
        )
    return Verdict(_CHECK, State.OK, f"the clock is off by {offset:.3f} s")


def measure() -> float | None:
    """Return by how many seconds the clock is off, or None if no service tells."""
    for command, read in _SOURCES:
        said = _said(command)
        offset = read(said) if said is not None else None
        if offset is not None:
            return offset
    return None


def of_chrony(said: str) -> float | None:
    """Read `chronyc -c tracking`: comma-separated; the fifth is the offset, the last the state of leap seconds."""
    columns = said.strip().split(",")
    if len(columns) < 14 or columns[-1] == "Not synchronised":
        return None
    return abs(float(columns[4]))


def of_timesyncd(said: str) -> float | None:
    """Read `timedatectl timesync-status`: its offset is written as +1min 2.5s or -310us."""
    found = re.search(r"^\s*Offset: [+-]?(.+)$", said, re.MULTILINE)
    if not found:
        return None
    parts = re.findall(r"([\d.]+)(us|ms|s|min|h|d)\b", found[1])
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else None


def of_ntpsec(said: str) -> float | None:
    """Read `ntpq -c "rv 0 leap,offset"`: in milliseconds; leap=11 is unsynchronised."""
    offset = re.search(r"\boffset=([+-]?[\d.]+)", said)
    return abs(float(offset[1])) / 1000 if offset and not re.search(r"\bleap=(11|3)\b", said) else None


_SOURCES: Sequence[tuple[Sequence[str], Callable[[str], float | None]]] = (
    (("chronyc", "-nc", "tracking"), of_chrony),
    (("timedatectl", "timesync-status"), of_timesyncd),
    (("ntpq", "-c", "rv 0 leap,offset"), of_ntpsec),
)


def _said(command: Sequence[str]) -> str | None:
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout if run.returncode == 0 else None
