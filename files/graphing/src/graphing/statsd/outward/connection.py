"""The TCP connection to carbon: made, watched, lost and made again.

Carbon acknowledges nothing, so what the kernel of its host has acknowledged on a connection that then stays
healthy for a while counts as delivered.
"""

import contextlib
import fcntl
import logging
import select
import socket
import sys
import termios
import time
from dataclasses import dataclass

from graphing.durable.record import Record
from graphing.durable.span import Span
from graphing.net.dialing import Dialing, ended

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0

_VANISHED_SECONDS = 30.0
"""After so long without an answer the other host counts as gone; TCP by itself takes a quarter of an hour."""

_NOT_SENT_BYTES = 128 * 1024
"""What the kernel may hold back of a connection: a fresh line waits behind that much."""

_log = logging.getLogger(__name__)


@dataclass
class Timing:
    """Seconds that judge a connection."""

    keep: float = 5.0
    """How long a connection must be healthy after lines were sent before they count as delivered."""
    check: float = 0.5
    """How often an idle connection is looked at."""
    send_timeout: float = 30.0
    """Carbon stops reading while its cache is full; after so long without progress the connection counts as broken."""


@dataclass(slots=True)
class Chunk:
    """The record under way; `again`: it was delivered before; and what is left to send of it."""

    span: Span
    again: bool
    rest: memoryview


class Connection:
    """A connection to one host and port, or the attempts to have one. For one thread; it never waits."""

    def __init__(self, host: str, port: int, timing: Timing) -> None:
        self._host, self._port = host, port
        self._timing = timing
        self._dialing: Dialing | None = None
        self._socket: socket.socket | None = None
        self._made_at = self._next_attempt = 0.0
        self._delay = _FIRST_DELAY
        self._progress = 0.0
        self.chunk: Chunk | None = None
        """What is being sent."""
        self.total = self.acknowledged = 0
        """Bytes that went into this connection, and those that the other host was last seen to have."""
        self.healthy: float | None = None
        """When it was last known healthy, in seconds since 1970; None: not since the address was set."""
        self.trouble = ""
        """Why there is no connection; empty while there is one, and before the first attempt."""

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    def set_address(self, host: str, port: int) -> None:
        """Leave the connection, if there is one, and begin with another address."""
        self.close()
        self._host, self._port = host, port
        self.healthy = None
        self._next_attempt, self._delay = 0.0, _FIRST_DELAY

    def register(self, poll: select.poll, *, wants_to_send: bool) -> float | None:
        """Have `poll` notice what happens here; return after how many seconds there is something to do anyway."""
        if self._socket is not None:
            poll.register(self._socket, select.POLLIN | (select.POLLOUT if wants_to_send else 0))
        elif self._dialing is not None:
            poll.register(self._dialing, select.POLLOUT)
        else:
            return max(0.0, self._next_attempt - time.monotonic())
        return None

    def maintain(self, *, at_once: bool) -> None:
        """Notice that the connection is over, or go on making one; `at_once` waits for no later attempt.

        Raises OSError, or what a host name that can't be looked up raises (ValueError, OverflowError).
        """
        if self._socket is None:
            self._dial(at_once=at_once)
        elif error := ended(self._socket):
            raise error

    def _dial(self, *, at_once: bool) -> None:
        if self._dialing is None:
            if time.monotonic() < self._next_attempt and not at_once:
                return
            self._dialing = Dialing(self._host, self._port)
        self._socket = self._dialing.turn()
        if self._socket is None:
            return
        self._dialing = None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(_VANISHED_SECONDS * 1000))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _NOT_SENT_BYTES)
        self.total = self.acknowledged = 0
        self._made_at, self.healthy = time.monotonic(), time.time()
        self.trouble = ""
        _log.info("connected to carbon at %s port %d", self._host, self._port)

    def load(self, record: Record, *, again: bool) -> None:
        """Begin to send a record."""
        self._progress = time.monotonic()
        self.chunk = Chunk(record.span, again, memoryview(record.payload))

    def push(self) -> Chunk | None:
        """Send what the kernel takes of the record under way; return it when all of it was taken. Raises OSError."""
        if self._socket is None or self.chunk is None:
            return None
        try:
            while self.chunk.rest:
                size = self._socket.send(self.chunk.rest)
                self.chunk.rest = self.chunk.rest[size:]
                self.total += size
                self._progress = time.monotonic()
        except BlockingIOError:
            return None
        sent, self.chunk = self.chunk, None
        return sent

    def check(self) -> None:
        """Look how much the other host has acknowledged. Raises TimeoutError if it takes nothing for too long."""
        if self._socket is None:
            return
        now = time.monotonic()
        in_flight = _in_flight(self._socket)
        acknowledged = self.total - in_flight
        if acknowledged > self.acknowledged or not in_flight:
            self.healthy = time.time()
        elif self.chunk is not None and now - self._progress > self._timing.send_timeout:
            raise TimeoutError(f"took nothing for {self._timing.send_timeout:.0f} s")
        self.acknowledged = acknowledged
        if now - self._made_at > self._timing.keep:
            # A connection that lasts proves itself; one that carbon closes at once doesn't.
            self._delay = _FIRST_DELAY

    def settled_before(self) -> float:
        """Return the time (monotonic) before which what was sent, and acknowledged, counts as delivered."""
        return time.monotonic() - self._timing.keep

    def give_up(self, error: Exception) -> float | None:
        """Close the connection because of an error and try later; return when it was last known healthy."""
        self.close()
        alive, self.healthy = self.healthy, None
        self.trouble = f"{self._host} port {self._port}: {error}"
        self._next_attempt = time.monotonic() + self._delay
        self._delay = min(self._delay * 2, _LONGEST_DELAY)
        return alive

    def finish(self, seconds: float) -> bool:
        """End the connection so that carbon confirms it: it closes its side after it has read everything.

        Waits for that at most so long; tells whether it was so.
        """
        if self._socket is None or self.chunk is not None:
            return False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            # A timeout of 0 would mean non-blocking.
            self._socket.settimeout(max(0.01, seconds))
            while self._socket.recv(4096):
                pass
            return True
        return False

    def close(self) -> None:
        """Leave what there is."""
        for opened in (self._dialing, self._socket):
            if opened is not None:
                opened.close()
        self._dialing = self._socket = self.chunk = None


def _in_flight(connection: socket.socket) -> int:
    """Return how many bytes the other host has not acknowledged, see SIOCOUTQ in tcp(7)."""
    answer = fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4)
    return int.from_bytes(answer, sys.byteorder)
