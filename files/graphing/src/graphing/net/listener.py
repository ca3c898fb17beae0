"""A listening socket and its connections, for a loop that never waits."""

import logging
import select
import socket
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from graphing.core.log import RateLimitedLog

_Socket = socket.socket


class HasSocket(Protocol):
    """What a daemon keeps of a connection."""

    socket: _Socket


Connected = TypeVar("Connected", bound=HasSocket)


class Listener(Generic[Connected]):
    """Accepts connections up to a number, knows those that are open, and tells what happens to which."""

    def __init__(self, listening: socket.socket, most: int, what: str, log: logging.Logger) -> None:
        """Have at most `most` connections at a time; `what` is said of one in the log."""
        self.open: dict[int, Connected] = {}
        """The connections by their descriptors."""
        self._listening = listening
        self._most = most
        self._what = what
        self._complain = RateLimitedLog(log, logging.WARNING, 60.0)
        listening.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(listening.fileno(), select.EPOLLIN)

    def events(self) -> Iterator[tuple[Connected | None, int]]:
        """Yield the connections to which something has happened, and what (epoll); None: somebody wants to connect."""
        for descriptor, event in self._epoll.poll(0):
            yield (None if descriptor == self._listening.fileno() else self.open[descriptor]), event

    def accept(
        self,
        make: Callable[[socket.socket], Connected],
        refuse: Callable[[socket.socket], None] = socket.socket.close,
    ) -> None:
        """Accept those who wait, while fewer are open than may be; `refuse` is given the sockets of the others."""
        for _ in range(self._most):
            try:
                connected, _ = self._listening.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                self._complain("%s can't be accepted: %s", self._what, error.strerror)
                return
            connected.setblocking(False)
            if len(self.open) >= self._most:
                refuse(connected)
                continue
            self.open[connected.fileno()] = make(connected)
            self._epoll.register(connected.fileno(), select.EPOLLIN)

    def await_event(self, connection: Connected, event: int) -> None:
        """Tell of other events of a connection than before."""
        self._epoll.modify(connection.socket.fileno(), event)

    def forget(self, connection: Connected) -> None:
        """Close a connection."""
        self._epoll.unregister(connection.socket.fileno())
        del self.open[connection.socket.fileno()]
        connection.socket.close()

    def close(self) -> None:
        """Close all connections and stop listening."""
        for connection in list(self.open.values()):
            self.forget(connection)
        self._epoll.close()
        self._listening.close()
