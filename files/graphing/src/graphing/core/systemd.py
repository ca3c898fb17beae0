"""The two small protocols between systemd and a daemon: passed sockets and notifications.

See sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3). Without systemd everything here does
nothing. Never fails a daemon: a notification that can't be sent is dropped.
"""

import contextlib
import os
import socket
from collections.abc import MutableMapping

_FIRST_FD = 3


def passed_sockets(environment: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """Return the sockets that systemd passed to this process, and forget them in `environment`."""
    pid = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    sockets = [socket.socket(fileno=fd) for fd in range(_FIRST_FD, _FIRST_FD + int(count))]
    for passed in sockets:
        passed.set_inheritable(False)
    return sockets


def notify(state: str) -> None:
    """Tell systemd `state`, for example `READY=1`."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    # A leading @ stands for Linux's abstract namespace, which starts with a zero byte.
    address = "\0" + path[1:] if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        channel.send(state.encode())


def watchdog_period() -> float | None:
    """Return how often to send `WATCHDOG=1`, in seconds (half of the limit), or None if not asked to."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not limit.isdigit() or int(limit) == 0 or pid != str(os.getpid()):
        return None
    return int(limit) / 2_000_000
