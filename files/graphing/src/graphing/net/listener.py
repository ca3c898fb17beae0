"""Accepts connections in a loop that never waits, up to a number, and tells of those that it can't accept."""

import logging
import socket
from collections.abc import Callable, Iterator

from graphing.core.log import RateLimitedLog


class Listener:
    """A listening socket whose loop also serves the connections."""

    def __init__(self, listening: socket.socket, most: int, what: str, log: logging.Logger) -> None:
        """Accept at most `most` connections at a time; `what` is said of one in the log."""
        self._listening = listening
        self._most = most
        self._what = what
        self._complain = RateLimitedLog(log, logging.WARNING, 60.0)
        listening.setblocking(False)

    def fileno(self) -> int:
        """Return what becomes readable when there is somebody to accept."""
        return self._listening.fileno()

    def accept(
        self, count_open: Callable[[], int], refuse: Callable[[socket.socket], None] = socket.socket.close
    ) -> Iterator[socket.socket]:
        """Yield those who wait, non-blocking, while fewer are open than may be; `refuse` is told of the others."""
        for _ in range(self._most):
            try:
                connected, _ = self._listening.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                self._complain("%s can't be accepted: %s", self._what, error.strerror)
                return
            connected.setblocking(False)
            if count_open() >= self._most:
                refuse(connected)
            else:
                yield connected

    def close(self) -> None:
        """Stop listening."""
        self._listening.close()
