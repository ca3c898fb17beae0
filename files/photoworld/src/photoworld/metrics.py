"""What the forum tells StatsD, and how: one UDP datagram per fact, sent and forgotten.

Nothing that StatsD does or fails to do may slow or break a page. So the socket never blocks, names are
never resolved while a page is made (`connect` is called from elsewhere), and a datagram that
cannot be sent is dropped in exactly one place, `_Client._send`.

A bucket has one kind on the server. All of them stand here:

    logins, logins_failed, signups, threads, replies, views    counters
    responses.2xx, responses.3xx, responses.4xx, responses.5xx counters
    thread_length       timer: posts in a thread, sent with every post that is added (the first one sends 1)
    request.ENDPOINT    timer: milliseconds spent on a request, by the name of its route
    visitors            set: the random number in each visitor's cookie
    active_sessions     gauge: sessions that asked for a page in the last five minutes
"""

import logging
import socket
from typing import Literal

from statsd import StatsClient  # type: ignore[import-untyped]  # the package has no types

Counter = Literal["logins", "logins_failed", "signups", "threads", "replies", "views"]

_log = logging.getLogger(__name__)


class _Client(StatsClient):  # type: ignore[misc]  # the package has no types
    """The PyPI client on a socket that does not wait for room in the kernel's buffer."""

    def __init__(self, family: socket.AddressFamily, address: str, port: int, prefix: str) -> None:
        super().__init__(address, port, prefix, ipv6=family == socket.AF_INET6)
        self._sock.setblocking(False)

    def _send(self, data: str) -> None:
        try:
            self._sock.sendto(data.encode("ascii"), self._addr)
        except OSError as error:
            _log.debug("a datagram for StatsD was dropped: %s", error)


class Metrics:
    """The numbers of the forum, by the names above."""

    def __init__(self, host: str, port: int, prefix: str) -> None:
        """Prepare to send to host:port. A host given by name stays silent until `connect`."""
        self._host, self._port, self._prefix = host, port, prefix
        self._told = False
        self._client = self._open(socket.AI_NUMERICHOST)

    @property
    def connected(self) -> bool:
        """Whether the address of StatsD is known (nobody says that it listens)."""
        return self._client is not None

    def connect(self) -> None:
        """Resolve the host unless it is known. May take seconds: never call this from a request."""
        if self._client is None:
            self._client = self._open(0)
            if self._client is None and not self._told:
                _log.warning("StatsD host %s does not resolve; sending nothing until it does", self._host)
                self._told = True

    def count(self, name: Counter) -> None:
        """Add one to a counter."""
        if self._client:
            self._client.incr(name)

    def thread_length(self, posts: int) -> None:
        """Report how many posts a thread has now."""
        if self._client:
            self._client.timing("thread_length", posts)

    def request(self, endpoint: str, milliseconds: float, status: int) -> None:
        """Report an answered request."""
        if self._client:
            self._client.timing(f"request.{endpoint}", milliseconds)
            self._client.incr(f"responses.{status // 100}xx")

    def visitor(self, number: str) -> None:
        """Report who came by."""
        if self._client:
            self._client.set("visitors", number)

    def active_sessions(self, sessions: int) -> None:
        """Report how many sessions are active."""
        if self._client:
            self._client.gauge("active_sessions", sessions)

    def _open(self, flags: int) -> _Client | None:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM, flags=flags)
        except (OSError, UnicodeError):  # UnicodeError: a name that cannot be a host name
            return None
        family, _, _, _, address = found[0]
        return _Client(family, str(address[0]), self._port, self._prefix)
