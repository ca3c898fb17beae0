"""Whether all that `graphing.target` starts is running."""

import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from graphing.checks.verdict import State, Verdict

_CHECK = "services"
_TIMEOUT = 10.0


class Unit(NamedTuple):
    """A unit as systemd has it."""

    name: str
    active: str
    """active, inactive, failed, activating ..."""
    detail: str
    """running, auto-restart, dead ..."""


class NoSystemd(OSError):  # noqa: N818 - what is missing
    """systemd can't be asked; `str()` says why."""


def judge(target: str, units: Sequence[Unit]) -> Verdict:
    """Tell which units are not running."""
    if not units:
        return Verdict(_CHECK, State.FAIL, f"{target} starts nothing", "Run playbooks/site.yml, which installs it.")
    stopped = [unit for unit in units if unit.active not in ("active", "reloading")]
    if stopped:
        names = " ".join(unit.name for unit in stopped)
        what = ", ".join(f"{unit.name} is {unit.active} ({unit.detail})" for unit in stopped)
        return Verdict(_CHECK, State.FAIL, what, f"systemctl start {names}; journalctl -n 30 -u {stopped[0].name}")
    return Verdict(_CHECK, State.OK, f"{len(units)} units of {target} are running")


def measure(target: str) -> list[Unit]:
    """Return the units that a target starts. Raises NoSystemd."""
    wanted = next((each["Wants"].split() for each in _show(target, "Wants") if "Wants" in each), [])
    if not wanted:
        return []
    return [
        Unit(each["Id"], each["ActiveState"], each["SubState"]) for each in _show(*wanted, "Id,ActiveState,SubState")
    ]


def _show(*units_and_properties: str) -> list[dict[str, str]]:
    *units, properties = units_and_properties
    try:
        run = subprocess.run(
            ["systemctl", "show", f"--property={properties}", "--", *units],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise NoSystemd(error.stderr.strip() or f"systemctl ended with {error.returncode}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoSystemd(str(error)) from error
    # A unit's lines NAME=VALUE, an empty line, the next one's.
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in run.stdout.strip().split("\n\n")]
    return [block for block in blocks if block]
