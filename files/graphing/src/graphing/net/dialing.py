"""One TCP connection in the making, and how one learns that it is over; nothing here waits."""

import contextlib
import errno
import os
import select
import socket
import time

_CONNECT_TIMEOUT = 5.0
"""Seconds that one address has to answer."""


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
        """Return the connection, non-blocking, or None while it is being made. Raises OSError if no address answers."""
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
