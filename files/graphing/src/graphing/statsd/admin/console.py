"""The management console's connections: lines in, answers out, over TCP; `commands` has the answers.

Anyone who reaches it may delete buckets. It shares the daemon's only thread, so nothing here waits and
long work is done in pieces: an answer is a generator, asked for its next piece when its peer has taken
the ones before and there is time left in the turn.
"""

import contextlib
import logging
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator

from graphing.net.listener import Listener
from graphing.statsd.admin.commands import Commands, View

_CONNECTIONS = 32
_LONGEST_LINE = 64 * 1024
_BUFFER = 256 * 1024
"""Bytes of an answer that may wait for their peer."""
_TURN_SECONDS = 0.02
_SLOW_SECONDS = 30.0
"""A peer that takes nothing of its answer for this long is dropped."""
_IDLE_SECONDS = 600.0
"""A peer that has said nothing for this long is dropped, even in the middle of an answer."""
_UNFINISHED_SECONDS = 0.5
"""A command without a newline is answered after this long, as etsy's console takes what a packet brings for a line."""
_CHECK_SECONDS = 0.1

_log = logging.getLogger(__name__)


class Console:
    """The listener and its connections."""

    def __init__(self, listener: socket.socket, view: View, clock: Callable[[], float] = time.monotonic) -> None:
        self._listener: Listener[_ConsoleConnection] = Listener(
            listener, _CONNECTIONS, "a connection to the console", _log
        )
        self._commands = Commands(view)
        self._clock = clock
        self._next_check = clock()
        self._active: deque[_ConsoleConnection] = deque()
        """Those that can go on, in the order of their turns."""

    def turn(self) -> None:
        """Do what there is to do for a few milliseconds; never waits, never raises on what a peer does."""
        for connection, event in self._listener.events():
            if connection is None:
                self._listener.accept(lambda connected: _ConsoleConnection(connected, self._clock()), _refuse)
            elif event & (select.EPOLLERR | select.EPOLLHUP):
                # Both directions are gone: nobody is there to read on.
                self._forget(connection)
            else:
                self._wake(connection, event)
        if self._clock() >= self._next_check:
            self._check()
        self._work()

    def close(self) -> None:
        """Close the listener and all connections."""
        self._listener.close()
        self._active.clear()

    def _wake(self, connection: "_ConsoleConnection", event: int) -> None:
        if connection in self._active:
            # Its turn is still to come; until then it may not say more.
            return
        try:
            if event & select.EPOLLIN:
                connection.read(self._clock())
        except OSError:
            self._forget(connection)
            return
        self._active.append(connection)

    def _work(self) -> None:
        """Let the active connections take turns, a piece each."""
        end = time.monotonic() + _TURN_SECONDS
        while self._active and time.monotonic() < end:
            connection = self._active.popleft()
            try:
                waits_for = connection.step(self._commands.answer, self._clock())
            except OSError:
                self._forget(connection)
                continue
            if waits_for == _DONE:
                self._forget(connection)
                continue
            if waits_for == _NOTHING:
                self._active.append(connection)
            if waits_for != connection.registered:
                # An event that is of no use now would be reported again and again.
                self._listener.await_event(connection, waits_for)
                connection.registered = waits_for

    def _check(self) -> None:
        """Look after the connections that wait."""
        now = self._clock()
        self._next_check = now + _CHECK_SECONDS
        for connection in list(self._listener.open.values()):
            if connection.is_overdue(now):
                self._forget(connection)
            elif connection not in self._active and connection.finish_late_input(now):
                self._active.append(connection)

    def _forget(self, connection: "_ConsoleConnection") -> None:
        with contextlib.suppress(ValueError):
            self._active.remove(connection)
        self._listener.forget(connection)


def _refuse(connected: socket.socket) -> None:
    with contextlib.suppress(OSError), connected:
        connected.send(b"ERROR: too many connections\n")
        # Closing with something unread would be a reset, which can overtake the message.
        connected.recv(_LONGEST_LINE)


_DONE = -1
_NOTHING = 0


class _ConsoleConnection:
    """One peer: what it said, the answer under way, and what of it waits to be sent."""

    def __init__(self, connected: socket.socket, now: float) -> None:
        self.socket = connected
        self.registered = int(select.EPOLLIN)
        self._input = bytearray()
        self._output = bytearray()
        self._answer: Iterator[str] | None = None
        self._ended = False
        self._quits = False
        self._heard = now
        self._moved = now

    def read(self, now: float) -> None:
        data = self.socket.recv(_LONGEST_LINE)
        self._heard = now
        self._input += data
        if not data:
            self._ended = True
            # A last command without a newline.
            self._finish_input()

    def step(self, answer: Callable[[str], Iterator[str] | None], now: float) -> int:
        """Go on by a piece; return what to wait for: an event of epoll, _NOTHING or _DONE."""
        if self._answer is None and not self._quits:
            self._begin(answer)
        if self._answer is not None and len(self._output) < _BUFFER:
            piece = next(self._answer, None)
            if piece is None:
                self._answer = None
            else:
                self._output += piece.encode("utf-8", "surrogateescape")
                self._moved = now
                if len(self._output) < _BUFFER // 4:
                    return _NOTHING
        if self._output and not self._send(now):
            return int(select.EPOLLOUT)
        if self._answer is not None or (b"\n" in self._input and not self._quits):
            return _NOTHING
        return _DONE if self._ended or self._quits else int(select.EPOLLIN)

    def _begin(self, answer: Callable[[str], Iterator[str] | None]) -> None:
        """Take the next command."""
        length = self._input.find(b"\n")
        if length < 0:
            if len(self._input) > _LONGEST_LINE:
                self._answer = iter(["ERROR: line too long\n"])
                self._quits = True
            return
        line = self._input[:length].decode("utf-8", "surrogateescape")
        del self._input[: length + 1]
        if self._input[:1].isspace():
            # What follows a command in one packet is cut off by etsy's console too: its own health check
            # sends an empty line after the command and wants one answer.
            self._input = self._input.lstrip()
        self._answer = answer(line)
        self._quits = self._answer is None

    def _send(self, now: float) -> bool:
        """Send what the kernel takes; return whether that was all."""
        with contextlib.suppress(BlockingIOError):
            sent = self.socket.send(self._output)
            del self._output[:sent]
            self._moved = now
        return not self._output

    def finish_late_input(self, now: float) -> bool:
        """Tell whether a command without a newline is ready to be answered.

        One with parameters is not: half a name would delete the wrong bucket.
        """
        waits = bool(self._input) and self._answer is None and now - self._heard >= _UNFINISHED_SECONDS
        if not waits or b"\n" in self._input or b" " in self._input.strip():
            return False
        self._finish_input()
        return True

    def _finish_input(self) -> None:
        if self._input and not self._input.endswith(b"\n"):
            self._input += b"\n"

    def is_overdue(self, now: float) -> bool:
        slow = bool(self._output) and now - self._moved >= _SLOW_SECONDS
        return slow or now - self._heard >= _IDLE_SECONDS
