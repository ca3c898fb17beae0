"""The processes of a server: their processor time, their memory, and their end."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

# The kernel's number for the clock of a whole process: include/linux/posix-timers.h.
_SCHEDULED_TIME = 2


def tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    found, wanted = [], [pid]
    while wanted:
        found.append(wanted.pop())
        with suppress(OSError):
            for task in Path(f"/proc/{found[-1]}/task").iterdir():
                wanted += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process and its descendants, those that have ended included."""
    total = 0.0
    for member in tree(pid):
        with suppress(OSError):
            total += time.clock_gettime((~member << 3) | _SCHEDULED_TIME)
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            # cutime and cstime: of children that were waited for.
            total += (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    return total


def resident_mib(pid: int) -> float:
    """Return the memory of a process and its descendants, pages that are shared divided among those that share them."""
    total = 0
    for member in tree(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def end(process: "subprocess.Popen[str]", seconds: float = 5) -> None:
    """Ask a process that leads a session to end; then kill what is left of it and its descendants."""
    members = tree(process.pid)
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    for member in members:
        # Those that have left its group but not its session.
        with suppress(OSError):
            if os.getsid(member) == process.pid:
                os.kill(member, signal.SIGKILL)
    process.wait()
