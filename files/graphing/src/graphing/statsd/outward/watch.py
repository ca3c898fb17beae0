"""Idle connections that reveal when a carbon-cache behind a relay restarts.

A relay keeps its connection to us while a carbon-cache behind it crashes and loses what it had not
written. So one idle connection to each of them is watched: when it breaks and can be made again, the
sender learns since when lines may be missing. It calls `turn()` now and then; there is no thread.
"""

import logging
import socket
import time
from collections.abc import Callable, Sequence

from graphing.core.log import RateLimitedLog
from graphing.net.dialing import Dialing, ended

_FIRST_DELAY = 0.2
_LONGEST_DELAY = 5.0
_SETTLED_SECONDS = 5.0
"""A connection that lasted so long makes the next attempt prompt again."""

_IDLE, _BETWEEN, _PROBES = 10, 5, 3
_SILENT_SECONDS = _IDLE + _BETWEEN * _PROBES
"""After so long the kernel notices that the other host vanished without a word."""

_log = logging.getLogger(__name__)


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
