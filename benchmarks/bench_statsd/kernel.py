"""What the kernel says of a UDP port, and the size of its receive buffer."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench_statsd.tools import CACHE

# What servers ask for that let one set it. The kernel doubles it for its own overhead, so that the default, which it
# does not double, has to be twice as large for the others to have the same.
RECEIVE_BUFFER = 8 * 1024 * 1024

_NET = Path("/proc/sys/net/core")
_WANTED = {"rmem_max": RECEIVE_BUFFER, "rmem_default": 2 * RECEIVE_BUFFER}
_REMEMBERED = CACHE / "receive-buffers.json"


@dataclass(frozen=True)
class Port:
    """The sockets of a UDP port, together."""

    sockets: int
    queued: int
    drops: int


def look_at(port: int) -> Port:
    """Return what waits in the receive queues of a port, and how many datagrams the kernel has dropped there."""
    found = []
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        fields = (line.split() for line in lines)
        found += [field for field in fields if int(field[1].rpartition(":")[2], 16) == port]
    queued = sum(int(field[4].partition(":")[2], 16) for field in found)
    return Port(len(found), queued, sum(int(field[-1]) for field in found))


@contextmanager
def equal_receive_buffers() -> Iterator[str]:
    """Give every server the same receive buffer for a while, if this may be set; yield what was done, for the report.

    The kernel shows these settings as writable only to root in the machine's own network namespace.
    """
    _restore()
    if os.geteuid() != 0 or not all(_writable(_NET / name) for name in _WANTED):
        yield (
            "Receive buffers: the system's defaults were left alone, because only root in the machine's own network "
            "namespace can set them. Servers that cannot ask for a larger one have a smaller one than the others."
        )
        return
    _REMEMBERED.write_text(json.dumps({name: (_NET / name).read_text().strip() for name in _WANTED}))
    try:
        for name, value in _WANTED.items():
            (_NET / name).write_text(f"{value}\n")
        yield (
            f"Receive buffers: {2 * RECEIVE_BUFFER // 1024**2} MiB, as the kernel counts, for every server: "
            "net.core.rmem_default and rmem_max were raised for the run and restored."
        )
    finally:
        _restore()


def _restore() -> None:
    """Put back what this run, or one that was killed, has changed."""
    if _REMEMBERED.exists():
        for name, value in json.loads(_REMEMBERED.read_text()).items():
            (_NET / name).write_text(f"{value}\n")
        _REMEMBERED.unlink()


def _writable(setting: Path) -> bool:
    try:
        return bool(setting.stat().st_mode & stat.S_IWUSR) and os.access(setting, os.W_OK)
    except OSError:
        return False
