"""The UDP sockets: systemd's, or one of our own."""

import array
import logging
import socket

from graphing.statsd.settings import Statsd
from graphing.systemd import passed_sockets

_log = logging.getLogger(__name__)

# linux/sock_diag.h and asm-generic/socket.h; Python has no names for them.
_SO_MEMINFO = 55
_MEMINFO_DROPS = 8
_MEMINFO_FIELDS = 9


def open_sockets(settings: Statsd) -> list[socket.socket]:
    """Return the non-blocking UDP sockets to receive from; raise OSError if there are none to have.

    If systemd passed sockets, `listen` and `port` are not used: datagrams that arrive while the
    daemon restarts wait in systemd's.
    """
    passed = passed_sockets()
    sockets = [usable for usable in passed if _is_udp(usable)]
    if not passed:
        sockets = [_bind(settings)]
    elif not sockets:
        raise OSError("systemd passed no UDP socket: the socket unit needs ListenDatagram=")
    for usable in sockets:
        usable.setblocking(False)
        _log.info("receiving on %s port %d", *usable.getsockname()[:2])
    return sockets


def _is_udp(passed: socket.socket) -> bool:
    udp = passed.family in (socket.AF_INET, socket.AF_INET6) and passed.type == socket.SOCK_DGRAM
    if not udp:
        _log.warning("systemd passed a socket that is not UDP: not used: %s", passed)
    return udp


def _bind(settings: Statsd) -> socket.socket:
    where = socket.getaddrinfo(settings.listen, settings.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = where[0]
    own = socket.socket(family, kind, protocol)
    # The kernel quietly stops at net.core.rmem_max.
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, settings.receive_buffer)
    try:
        own.bind(address)
    except OSError:
        own.close()
        raise
    return own


def kernel_drops(sockets: list[socket.socket]) -> int:
    """Return how many datagrams the kernel has dropped on these sockets since each was made.

    Asked of each socket, because /proc/net/udp shows only the sockets of one network namespace and
    takes long to read on a busy host. 0 on kernels older than 4.12.
    """
    return sum(map(_drops, sockets))


def _drops(usable: socket.socket) -> int:
    fields = array.array("I")
    try:
        fields.frombytes(usable.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, fields.itemsize * _MEMINFO_FIELDS))
    except OSError:
        return 0
    return fields[_MEMINFO_DROPS] if len(fields) == _MEMINFO_FIELDS else 0
