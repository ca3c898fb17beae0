"""Metrics over TCP and Unix streams: lines, each ended by a newline. Reads only; nobody is answered.

Sits beside the datagram sockets: what `turn` returns is fed to the engine as a datagram would be.
"""

import contextlib
import logging
import select
import socket

from graphing.core.log import RateLimitedLog

LONGEST_LINE = 64 * 1024

_CONNECTIONS = 1_000
_BYTES_PER_TURN = 4 * 1024 * 1024
_BYTES_PER_READ = LONGEST_LINE
_ACCEPTED_PER_TURN = 100

_SILENT_SECONDS = 60
"""After this long without a byte a peer is asked whether it still lives, so that vanished ones free their place."""

_log = logging.getLogger(__name__)


class Lines:
    """Cuts a stream of bytes into whole lines. Pure."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._rest = bytearray()
        self._skipping = False
        self.bad = 0
        """Lines that were longer than `longest` and dropped."""

    def feed(self, data: bytes) -> bytes:
        """Return the lines that `data`, at most `longest` bytes, completes: joined by newlines, without the last one.

        A line within `data` can therefore not be too long; only the one that began earlier can.
        """
        if self._skipping:
            _, newline, data = data.partition(b"\n")
            if not newline:
                return b""
            self._skipping = False
        complete, newline, unfinished = data.rpartition(b"\n")
        if newline and self._rest:
            first, more, others = complete.partition(b"\n")
            complete = self._joined(first) + more + others
            self._rest.clear()
        self._rest += unfinished
        if len(self._rest) > self._longest:
            self._drop()
            self._skipping = True
        return complete

    def end(self) -> bytes:
        """Return the last line, which had no newline."""
        last = bytes(self._rest)
        self._rest.clear()
        return last

    def _joined(self, end: bytes) -> bytes:
        """Return the line that `end` completes; nothing if it is too long."""
        if len(self._rest) + len(end) > self._longest:
            self._drop()
            return b""
        return bytes(self._rest) + end

    def _drop(self) -> None:
        self._rest.clear()
        self.bad += 1


class _StreamConnection:
    def __init__(self, connected: socket.socket, name: str) -> None:
        self.socket = connected
        self.name = name
        self.lines = Lines()


class Streams:
    """The listeners and their connections."""

    def __init__(self, listeners: list[socket.socket]) -> None:
        self.bad = 0
        """Lines too long to be taken; set it to 0 when you have counted them."""
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._connections: dict[int, _StreamConnection] = {}
        self._waiting: dict[int, _StreamConnection] = {}
        """Those with something to read, longest waiting first."""
        self._complain = RateLimitedLog(_log, logging.WARNING, 60.0)
        self._epoll = select.epoll()
        for fd, listener in self._listeners.items():
            listener.setblocking(False)
            self._epoll.register(fd, select.EPOLLIN)

    def turn(self) -> list[tuple[bytes, str]]:
        """Return the lines that have arrived: newline-joined blobs, each with the name of its peer. Never waits."""
        for fd, _ in self._epoll.poll(0, _CONNECTIONS + len(self._listeners) + 1):
            if fd in self._listeners:
                self._accept(self._listeners[fd])
            elif fd in self._connections:
                self._waiting.setdefault(fd, self._connections[fd])
        received: list[tuple[bytes, str]] = []
        left = _BYTES_PER_TURN
        while self._waiting and left >= _BYTES_PER_READ:
            fd, connection = next(iter(self._waiting.items()))
            del self._waiting[fd]
            size, lines = self._read(connection)
            left -= size
            if lines:
                received.append((lines, connection.name))
            if size == _BYTES_PER_READ:
                # Probably more where that came from, after the others had their turn.
                self._waiting[fd] = connection
        return received

    def close(self) -> None:
        """Close the listeners and all connections. What was not finished by a newline is lost."""
        for connection in list(self._connections.values()):
            self._forget(connection)
        for listener in self._listeners.values():
            listener.close()
        self._epoll.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTED_PER_TURN):
            try:
                connected, address = listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                # Above all: no more file descriptors.
                self._complain("a connection can't be accepted: %s", error.strerror)
                return
            name = _name(listener, address)
            if len(self._connections) >= _CONNECTIONS:
                self._complain("%s refused: there are %d connections already", name, _CONNECTIONS)
                connected.close()
                continue
            self._add(_StreamConnection(connected, name))

    def _add(self, connection: _StreamConnection) -> None:
        connected = connection.socket
        connected.setblocking(False)
        if connected.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENT_SECONDS)
        self._connections[connected.fileno()] = connection
        self._epoll.register(connected.fileno(), select.EPOLLIN)

    def _read(self, connection: _StreamConnection) -> tuple[int, bytes]:
        """Return how many bytes were read, and the lines that they complete."""
        try:
            data = connection.socket.recv(_BYTES_PER_READ)
        except BlockingIOError:
            return 0, b""
        except OSError as error:
            # What a broken connection cut off is not a line.
            _log.debug("%s: %s", connection.name, error)
            self._forget(connection)
            return 0, b""
        lines = connection.lines.feed(data) if data else connection.lines.end()
        self.bad += connection.lines.bad
        connection.lines.bad = 0
        if not data:
            self._forget(connection)
        return len(data), lines

    def _forget(self, connection: _StreamConnection) -> None:
        fd = connection.socket.fileno()
        self._epoll.unregister(fd)
        del self._connections[fd]
        self._waiting.pop(fd, None)
        connection.socket.close()


def _name(listener: socket.socket, address: tuple[str, int] | str) -> str:
    if isinstance(address, tuple):
        return f"{address[0]} port {address[1]}"
    # Who connects to a Unix socket has no name of its own.
    return f"Unix socket {listener.getsockname()!r}"
