"""The side door for HTTP: GET and HEAD of the pages of `status`, one request a connection.

It shares the daemon's only thread, so nothing here waits. An answer is small enough for the kernel to take
it whole; a peer that is slow, or says too much, costs a descriptor for a few seconds and nothing else.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Callable
from http import HTTPStatus

from graphing.net.listener import Listener
from graphing.statsd.admin.status import Page, Status, page

_CONNECTIONS = 16
_LONGEST_REQUEST = 8192
_SECONDS = 5.0
"""How long a connection may last in all."""

_log = logging.getLogger(__name__)


class HttpDoor:
    """The listener and its connections. `look` is asked for the status once per request."""

    def __init__(
        self, listener: socket.socket, look: Callable[[], Status], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._listener: Listener[_HttpConnection] = Listener(listener, _CONNECTIONS, "a request for health", _log)
        self._look = look
        self._clock = clock

    def turn(self) -> None:
        """Do what there is to do; never waits, never raises on what a peer does."""
        for connection, _ in self._listener.events():
            if connection is None:
                self._listener.accept(lambda connected: _HttpConnection(connected, self._clock() + _SECONDS))
            else:
                self._read(connection)
        if self._listener.open:
            now = self._clock()
            for connection in list(self._listener.open.values()):
                if now >= connection.deadline:
                    self._listener.forget(connection)

    def close(self) -> None:
        """Close the listener and all connections."""
        self._listener.close()

    def _read(self, connection: "_HttpConnection") -> None:
        try:
            data = connection.socket.recv(_LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._listener.forget(connection)
        elif not connection.answered:
            self._append(connection, data)

    def _append(self, connection: "_HttpConnection", data: bytes) -> None:
        connection.request += data
        if not _is_whole(connection.request):
            return
        connection.answered = True
        with contextlib.suppress(OSError):
            connection.socket.send(answer(bytes(connection.request), self._look))
            # The peer closes next: closing with something unread would be a reset, which can overtake the answer.
            connection.socket.shutdown(socket.SHUT_WR)


class _HttpConnection:
    """One peer, what it has said, and when it must be gone."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self.socket = connected
        self.deadline = deadline
        self.request = bytearray()
        self.answered = False


def _is_whole(request: bytearray) -> bool:
    return b"\r\n\r\n" in request or b"\n\n" in request or len(request) > _LONGEST_REQUEST


def answer(request: bytes, look: Callable[[], Status]) -> bytes:
    """Return the whole answer to a request's head, whatever it is."""
    first = request.partition(b"\n")[0].decode("latin-1").split()
    if len(request) > _LONGEST_REQUEST or len(first) != 3 or not first[2].startswith("HTTP/1."):
        return _response(Page(400, b"not a request of HTTP/1, or too long\n"))
    method, target, _ = first
    if method not in ("GET", "HEAD"):
        return _response(Page(405, b"GET and HEAD alone\n"), "Allow: GET, HEAD\r\n")
    found = page(target.partition("?")[0], look())
    response = _response(found or Page(404, b"/healthz, /readyz, /statusz\n"))
    return response[: response.index(b"\r\n\r\n") + 4] if method == "HEAD" else response


def _response(found: Page, further: str = "") -> bytes:
    kind = "application/json" if found.body.startswith(b"{") else "text/plain"
    head = (
        f"HTTP/1.1 {found.code} {HTTPStatus(found.code).phrase}\r\n"
        f"Content-Type: {kind}; charset=utf-8\r\nContent-Length: {len(found.body)}\r\n"
        f"Cache-Control: no-store\r\nConnection: close\r\n{further}\r\n"
    )
    return head.encode() + found.body
