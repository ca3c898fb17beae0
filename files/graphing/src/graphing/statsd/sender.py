"""Lines to carbon over TCP, in a thread of its own, so that a slow carbon never delays reception.

Carbon acknowledges nothing: what it has not read is gone when its process ends. So a batch is kept for a
while after it was sent, and a broken connection sends the kept ones again from the beginning of a
line. Whisper holds one value per slot, so what arrives twice does no harm. When the queue is full,
the oldest lines go and are counted.
"""

import contextlib
import fcntl
import logging
import select
import socket
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from graphing.log import RateLimitedLog
from graphing.statsd.settings import Carbon

_KEEP_SECONDS = 5.0
"""How long a batch is kept after it was sent on a connection that seems healthy."""

_CHECK_SECONDS = 0.5
"""How often an idle connection is looked at."""

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0
_CONNECT_TIMEOUT = 5.0
_SEND_TIMEOUT = 30.0
"""Carbon stops reading while its cache is full; after this long the connection counts as broken."""

_log = logging.getLogger(__name__)


class _Batch(NamedTuple):
    lines: int
    data: bytes


class _Sent(NamedTuple):
    when: float
    batch: _Batch


class Sender:
    """A bounded queue of lines and the thread that empties it."""

    def __init__(self, carbon: Carbon) -> None:
        self._carbon = carbon
        self._complain = RateLimitedLog(_log, logging.WARNING, 1.0)
        self._changed = threading.Condition()
        # Guarded by _changed: the queue, what is being sent, what was sent lately, and the counts.
        self._queue: deque[_Batch] = deque()
        self._current: _Batch | None = None
        self._recent: deque[_Sent] = deque()
        self._queued = 0
        self._sent = 0
        self._dropped = 0
        self._deadline: float | None = None
        # Used by the thread only.
        self._connection: socket.socket | None = None
        self._delay = _FIRST_DELAY
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, lines: Sequence[str]) -> None:
        """Queue lines (each with its newline), in batches of the caller's size. Never waits."""
        if not lines:
            return
        with self._changed:
            self._queue.append(_Batch(len(lines), "".join(lines).encode("ascii")))
            self._queued += len(lines)
            self._drop_oldest()
            self._changed.notify()

    def queued(self) -> int:
        """Return how many lines wait."""
        with self._changed:
            return self._queued

    def take_counts(self) -> tuple[int, int]:
        """Return how many lines were sent and dropped since the last call."""
        with self._changed:
            counts = self._sent, self._dropped
            self._sent = self._dropped = 0
            return counts

    def unconfirmed(self) -> list[str]:
        """Return every line that carbon may not have, oldest first."""
        with self._changed:
            batches = [sent.batch for sent in self._recent]
            if self._current:
                batches.append(self._current)
            batches += self._queue
        return [line for batch in batches for line in batch.data.decode("ascii").splitlines(keepends=True)]

    def close(self, seconds: float) -> list[str]:
        """Try for at most `seconds` to send what waits; return the lines that carbon may not have."""
        with self._changed:
            self._deadline = time.monotonic() + seconds
            self._changed.notify()
        self._thread.join(seconds)
        return self.unconfirmed()

    def _run(self) -> None:
        while True:
            batch = self._next()
            if batch is None:
                break
            try:
                self._send(batch)
            except (OSError, UnicodeError) as error:
                # UnicodeError: what a host name that can't be looked up raises.
                self._broken(error)
                if not self._pause():
                    return
        self._finish()

    def _next(self) -> _Batch | None:
        """Wait for a batch; None when closing and nothing is left to send."""
        while True:
            with self._changed:
                if not self._queue and self._deadline is None:
                    self._changed.wait(_CHECK_SECONDS)
            if self._is_gone():
                self._broken(ConnectionResetError("carbon closed the connection"))
            with self._changed:
                self._forget_old()
                if self._queue:
                    self._current = self._queue.popleft()
                    return self._current
                if self._deadline is not None:
                    return None

    def _send(self, batch: _Batch) -> None:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.settimeout(self._time_left(_SEND_TIMEOUT))
        self._connection.sendall(batch.data)
        with self._changed:
            self._current = None
            self._queued -= batch.lines
            self._sent += batch.lines
            self._recent.append(_Sent(time.monotonic(), batch))

    def _connect(self) -> socket.socket:
        carbon = self._carbon
        connection = socket.create_connection((carbon.host, carbon.port), self._time_left(_CONNECT_TIMEOUT))
        # A host that vanished without a word is noticed in seconds, not in a quarter of an hour.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(_SEND_TIMEOUT * 1000))
        _log.info("connected to carbon at %s port %d", carbon.host, carbon.port)
        return connection

    def _time_left(self, limit: float) -> float:
        with self._changed:
            if self._deadline is None:
                return limit
            # A timeout of 0 would mean non-blocking.
            return max(0.01, min(limit, self._deadline - time.monotonic()))

    def _is_gone(self) -> bool:
        """Tell whether carbon closed the connection."""
        if self._connection is None:
            return False
        readable, _, _ = select.select([self._connection], [], [], 0)
        if not readable:
            return False
        try:
            # Carbon never says anything, so this is an end or noise.
            return self._connection.recv(4096) == b""
        except OSError:
            return True

    def _broken(self, error: Exception) -> None:
        """Close the connection and put back everything that may not have arrived."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        with self._changed:
            again = [sent.batch for sent in self._recent]
            self._queued += sum(batch.lines for batch in again)
            if self._current:
                again.append(self._current)
            self._recent.clear()
            self._current = None
            self._queue.extendleft(reversed(again))
            self._drop_oldest()
            queued = self._queued
        self._complain("carbon at %s port %d: %s; %d lines wait", self._carbon.host, self._carbon.port, error, queued)

    def _pause(self) -> bool:
        """Wait before the next attempt; return False if there is no time for one."""
        with self._changed:
            if self._deadline is None:
                self._changed.wait_for(lambda: self._deadline is not None, self._delay)
                self._delay = min(self._delay * 2, _LONGEST_DELAY)
                return True
            return False

    def _forget_old(self) -> None:
        """Forget batches that are old enough and that carbon's host has received."""
        if self._connection is None:
            return
        limit = time.monotonic() - _KEEP_SECONDS
        later = sum(len(sent.batch.data) for sent in self._recent)
        while self._recent and self._recent[0].when < limit:
            later -= len(self._recent[0].batch.data)
            if _in_flight(self._connection) > later:
                return
            self._recent.popleft()
            # A connection that lasts proves itself; one that carbon closes at once doesn't.
            self._delay = _FIRST_DELAY

    def _drop_oldest(self) -> None:
        while self._queued > self._carbon.queue_lines and self._queue:
            oldest = self._queue.popleft()
            self._queued -= oldest.lines
            self._dropped += oldest.lines

    def _finish(self) -> None:
        """End the connection so that carbon confirms it: it closes its side after it has read everything."""
        if self._connection is None:
            return
        with contextlib.suppress(OSError), self._connection:
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.settimeout(self._time_left(_SEND_TIMEOUT))
            while self._connection.recv(4096):
                pass
            with self._changed:
                self._recent.clear()


def _in_flight(connection: socket.socket) -> int:
    """Return how many bytes the other host has not acknowledged, see SIOCOUTQ in tcp(7)."""
    answer = fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4)
    return int.from_bytes(answer, sys.byteorder)
