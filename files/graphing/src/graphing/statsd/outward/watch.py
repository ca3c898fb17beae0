"""Connections that nobody waits for, and what they tell about the carbon-caches behind a relay.

A relay keeps its connection to us while a carbon-cache behind it crashes and loses what it had not
written. So one idle connection to each of them is watched: when it breaks and can be made again, the
sender learns since when lines may be missing. It calls `turn()` now and then; there is no thread.
"""

import contextlib
import errno
import logging
import os
import select
import socket
import time
from collections.abc import Callable, Sequence

from graphing.core.log import RateLimitedLog

_CONNECT_TIMEOUT = 5.0
_FIRST_DELAY = 0.2
_LONGEST_DELAY = 5.0
_SETTLED_SECONDS = 5.0
"""A connection that lasted so long makes the next attempt prompt again."""

_IDLE, _BETWEEN, _PROBES = 10, 5, 3
_SILENT_SECONDS = _IDLE + _BETWEEN * _PROBES
"""After so long the kernel notices that the other host vanished without a word."""

_log = logging.getLogger(__name__)


class Dialing:
    """One TCP connection in the making, to the first address of a host that answers."""

    def __init__(self, host: str, port: int) -> None:
        """Begin. Raises OSError or UnicodeError if the host can't be looked up or no address can be tried."""
        self._addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self._deadline = 0.0
        self._socket: socket.socket | None = None
        self._next(OSError(f"no address for {host}"))

    def fileno(self) -> int:
        """Return what becomes writable when there is something to see."""
        return self._socket.fileno() if self._socket else -1

    def turn(self) -> socket.socket | None:
        """Return the connection, non-blocking, or None while there is none yet. Raises OSError if there is none."""
        assert self._socket is not None  # noqa: S101 - _next() raised otherwise
        if not _ready(self._socket, select.POLLOUT):
            if time.monotonic() >= self._deadline:
                self._next(TimeoutError(f"no answer in {_CONNECT_TIMEOUT:.0f} s"))
            return None
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._next(OSError(number, os.strerror(number)))
            return None
        if self._socket.getsockname() == self._socket.getpeername():
            # On one host, to a port that nobody listens on: TCP may connect a socket to itself.
            self._next(ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))
            return None
        connection, self._socket = self._socket, None
        return connection

    def close(self) -> None:
        """Give up."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def _next(self, error: OSError) -> None:
        """Try the next address; raise the last error if there is none."""
        self.close()
        while self._addresses:
            family, kind, protocol, _, address = self._addresses.pop(0)
            try:
                self._socket = socket.socket(family, kind, protocol)
                self._socket.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    self._socket.connect(address)
                self._deadline = time.monotonic() + _CONNECT_TIMEOUT
                return
            except OSError as found:
                error = found
                self.close()
        raise error


def ended(connection: socket.socket) -> OSError | None:
    """Return why a connection on which the other side never speaks is over, or None while it lasts."""
    if not _ready(connection, select.POLLIN):
        return None
    try:
        # What it says all the same is noise.
        return None if connection.recv(4096) else ConnectionResetError("carbon closed the connection")
    except BlockingIOError:
        return None
    except OSError as error:
        return error


def _ready(connection: socket.socket, events: int) -> bool:
    poll = select.poll()
    poll.register(connection, events)
    return bool(poll.poll(0))


def _split(server: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT or [ADDRESS]:PORT."""
    host, _, port = server.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


class _Watched:
    """One server."""

    def __init__(self, server: str) -> None:
        self.server = server
        self._complain = RateLimitedLog(_log, logging.WARNING, 60.0)
        self._dialing: Dialing | None = None
        self._connection: socket.socket | None = None
        self._since = 0.0
        self._next_attempt = 0.0
        self._delay = _FIRST_DELAY
        self._alive: float | None = None
        """When it was last known alive, by the wall clock; None: it never was."""

    def turn(self) -> float | None:
        """Look once; return when it was last known alive if it just came back, otherwise None."""
        if self._connection is not None:
            self._look(self._connection)
            return None
        try:
            return self._dial()
        except (OSError, ValueError, OverflowError) as error:
            # What a host name that can't be looked up or a port above 65,535 raise too.
            self._complain("carbon at %s: %s", self.server, error)
            self._retry_later()
            return None

    def _look(self, connection: socket.socket) -> None:
        error = ended(connection)
        if error is None:
            self._alive = time.time()
            if time.monotonic() - self._since >= _SETTLED_SECONDS:
                self._delay = _FIRST_DELAY
            return
        if self._alive is not None and not isinstance(error, ConnectionError):
            self._alive -= _SILENT_SECONDS
        _log.warning("carbon at %s is gone: %s", self.server, error)
        self.close()
        self._retry_later()

    def _dial(self) -> float | None:
        if self._dialing is None:
            if time.monotonic() < self._next_attempt:
                return None
            self._dialing = Dialing(*_split(self.server))
        self._connection = self._dialing.turn()
        if self._connection is None:
            return None
        self._dialing = None
        for option, value in (
            (socket.TCP_KEEPIDLE, _IDLE),
            (socket.TCP_KEEPINTVL, _BETWEEN),
            (socket.TCP_KEEPCNT, _PROBES),
        ):
            self._connection.setsockopt(socket.IPPROTO_TCP, option, value)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._since = time.monotonic()
        before, self._alive = self._alive, time.time()
        return before

    def _retry_later(self) -> None:
        self._dialing = None
        self._next_attempt = time.monotonic() + self._delay
        self._delay = min(self._delay * 2, _LONGEST_DELAY)

    def close(self) -> None:
        for opened in (self._dialing, self._connection):
            if opened is not None:
                opened.close()
        self._dialing = self._connection = None


class Watch:
    """Watches servers, each "HOST:PORT" or "[ADDRESS]:PORT".

    `on_return` is called with the time, in seconds since 1970, at which a server that came back was last
    known alive. The first success with a server is no return.
    """

    def __init__(self, servers: Sequence[str], on_return: Callable[[float], None]) -> None:
        self._watched = [_Watched(server) for server in servers]
        self._on_return = on_return

    def turn(self) -> None:
        """Look at each server once, without waiting for any (but for its name to be looked up)."""
        for watched in self._watched:
            alive = watched.turn()
            if alive is not None:
                _log.warning("carbon at %s is back", watched.server)
                self._on_return(alive)

    def close(self) -> None:
        """End the connections."""
        for watched in self._watched:
            watched.close()
