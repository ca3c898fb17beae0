"""What the daemon listens on: systemd's sockets, or its own. Only opens and closes; nothing is read here.

Datagrams come by UDP and over a Unix socket, lines by TCP or a Unix stream (see `streams`), commands by
TCP (see `console`). Every socket is non-blocking.
"""

import array
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphing.core.systemd import passed_sockets
from graphing.statsd.settings import ConsoleSection, StatsdSection

_log = logging.getLogger(__name__)

# linux/sock_diag.h and asm-generic/socket.h; Python has no names for them.
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO_DROPS = 8
_MEMINFO_FIELDS = 9

_BACKLOG = 128
_IP = (socket.AF_INET, socket.AF_INET6)


class _UnixPath(NamedTuple):
    """A socket file of our own, and which file it was: another process may have put its own there since."""

    path: str
    device: int
    inode: int


@dataclass
class Sockets:
    """The sockets to receive metrics from."""

    datagram: list[socket.socket] = field(default_factory=list)
    stream: list[socket.socket] = field(default_factory=list)
    """Listeners."""
    _made: list[_UnixPath] = field(default_factory=list, repr=False)

    def close(self) -> None:
        """Close all of them and remove the socket file that `open_sockets` made."""
        for made in self._made:
            with contextlib.suppress(OSError):
                found = os.lstat(made.path)
                if (found.st_dev, found.st_ino) == (made.device, made.inode):
                    os.unlink(made.path)
        for usable in (*self.datagram, *self.stream):
            usable.close()


def open_sockets(settings: StatsdSection) -> Sockets:
    """Return the sockets to receive from; raise OSError, with what is wrong, if there are none to have.

    If systemd passed sockets, no address in `settings` is used: datagrams that arrive while the daemon
    restarts wait in systemd's.
    """
    passed = passed_sockets()
    sockets = _sorted_out(passed) if passed else _own(settings)
    if passed:
        _warn_of_unused(settings, sockets)
    for usable in (*sockets.datagram, *sockets.stream):
        usable.setblocking(False)
        _log.info("receiving on %s", _described(usable))
    return sockets


def console_listener(settings: ConsoleSection) -> socket.socket | None:
    """Return the listener of the management console, or None if there is to be none; raise OSError."""
    return _side_door("management console", settings.host, settings.port)


def status_listener(settings: ConsoleSection) -> socket.socket | None:
    """Return the listener of the page of health, or None if there is to be none; raise OSError."""
    return _side_door("health by HTTP", settings.host, settings.http_port)


def _side_door(what: str, host: str, port: int) -> socket.socket | None:
    if port == 0:
        return None
    listener = _listen(_resolve(host, port, socket.SOCK_STREAM)[0])
    listener.setblocking(False)
    _log.info("%s on %s", what, _described(listener))
    return listener


# systemd's


def _sorted_out(passed: list[socket.socket]) -> Sockets:
    sockets = Sockets()
    for candidate in passed:
        if candidate.type == socket.SOCK_DGRAM and candidate.family in (*_IP, socket.AF_UNIX):
            sockets.datagram.append(candidate)
        elif candidate.type == socket.SOCK_STREAM and candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sockets.stream.append(candidate)
        else:
            _log.warning("systemd passed a socket that can't be used, neither datagrams nor listening: %s", candidate)
            candidate.close()
    if not sockets.datagram and not sockets.stream:
        raise OSError("systemd passed no usable socket: the socket unit needs ListenDatagram= or ListenStream=")
    return sockets


def _warn_of_unused(settings: StatsdSection, sockets: Sockets) -> None:
    if settings.tcp and not any(listener.family in _IP for listener in sockets.stream):
        _log.warning("statsd.tcp is not used, as systemd passed the sockets: add ListenStream= to the socket unit")
    if settings.unix_socket and not any(usable.family == socket.AF_UNIX for usable in sockets.datagram):
        _log.warning("statsd.unix_socket is not used, as systemd passed the sockets: add it to the unit")


# Our own


def _own(settings: StatsdSection) -> Sockets:
    sockets = Sockets()
    try:
        for address in _resolve(settings.listen, settings.port, socket.SOCK_DGRAM):
            sockets.datagram.append(_bind_udp(address, settings.receive_buffer))
            if settings.tcp:
                sockets.stream.append(_listen(address))
        if settings.unix_socket:
            inbox, made = _bind_unix(settings.unix_socket)
            sockets.datagram.append(inbox)
            sockets._made.append(made)
    except OSError:
        sockets.close()
        raise
    return sockets


class _BindAddress(NamedTuple):
    family: int
    where: Any
    """As `bind` takes it."""
    dual: bool
    """Whether IPv4 arrives on this socket of IPv6 too."""


def _resolve(host: str, port: int, kind: socket.SocketKind) -> list[_BindAddress]:
    try:
        found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise OSError(f"{host} port {port}: {error}") from error
    # A name may lead to the same address twice.
    addresses = list(dict.fromkeys((family, where) for family, _, _, _, where in found if family in _IP))
    alone = len(addresses) == 1
    return [_BindAddress(family, where, alone and where[0] == "::") for family, where in addresses]


@contextlib.contextmanager
def _opened(family: int, kind: socket.SocketKind, where: str) -> Iterator[socket.socket]:
    """Open a socket; if its preparation fails, close it and say where."""
    try:
        made = socket.socket(family, kind)
    except OSError as error:
        raise OSError(f"{where}: {error.strerror or error}") from error
    try:
        yield made
    except OSError as error:
        made.close()
        raise OSError(f"{where}: {error.strerror or error}") from error


def _bind_udp(address: _BindAddress, receive_buffer: int) -> socket.socket:
    with _opened(address.family, socket.SOCK_DGRAM, f"UDP {_shown(address.where)}") as inbox:
        _set_dual(inbox, address)
        _set_receive_buffer(inbox, receive_buffer)
        inbox.bind(address.where)
        return inbox


def _listen(address: _BindAddress) -> socket.socket:
    with _opened(address.family, socket.SOCK_STREAM, f"TCP {_shown(address.where)}") as listener:
        _set_dual(listener, address)
        # Or connections of the previous process would hold the port for a minute.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address.where)
        listener.listen(_BACKLOG)
        return listener


def _set_dual(made: socket.socket, address: _BindAddress) -> None:
    if address.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not address.dual)


def _set_receive_buffer(inbox: socket.socket, wanted: int) -> None:
    try:
        inbox.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, wanted)
    except OSError:
        # Without CAP_NET_ADMIN; the kernel then quietly stops at its limit.
        inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
    # It books twice the size, for its own overhead: socket(7).
    given = inbox.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    if given < wanted:
        _log.warning("receive buffer of %d bytes instead of %d: raise net.core.rmem_max", given, wanted)


def _bind_unix(path: str) -> tuple[socket.socket, _UnixPath]:
    with _opened(socket.AF_UNIX, socket.SOCK_DGRAM, path) as inbox:
        _remove_stale(path, inbox)
        inbox.bind(path)
        os.chmod(path, 0o666)  # noqa: S103 - whoever may enter the folder may send, as with UDP
        found = os.lstat(path)
        return inbox, _UnixPath(path, found.st_dev, found.st_ino)


def _remove_stale(path: str, probe: socket.socket) -> None:
    """Remove a socket file that a killed process left behind."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError("exists and is no socket: not replaced")
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
        return
    except OSError:
        # Somebody is there, with another kind of socket.
        pass
    raise OSError("in use by another process")


def _shown(where: tuple[str, int]) -> str:
    return f"{where[0]} port {where[1]}"


def _described(usable: socket.socket) -> str:
    if usable.family == socket.AF_UNIX:
        return f"Unix socket {usable.getsockname()!r}"
    return f"{'UDP' if usable.type == socket.SOCK_DGRAM else 'TCP'} {_shown(usable.getsockname())}"


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
