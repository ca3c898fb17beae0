"""Copies of everything that comes in, for other StatsD servers, by UDP or TCP.

Best effort: a copy never delays reception, and what can't be sent is dropped and counted. Lines wait until
the next turn, so that many small datagrams become few large ones. They are never changed, cut or sorted.
"""

import contextlib
import errno
import itertools
import logging
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from graphing.core.log import RateLimitedLog
from graphing.statsd import settings

_LARGEST_PACKET = 1_432
"""Bytes: what fits into one frame of Ethernet, by IPv6 too."""
_WAITING = 64 * 1024
"""Bytes that may wait for the next turn."""
_QUEUE = 4 * 1024 * 1024
"""Bytes that may wait for a server that is reached by TCP."""
_PACKETS_PER_SEND = 64
_SENDS_PER_PUSH = 64

_RESOLVE_SECONDS = 300.0
_RETRY_SECONDS = 10.0
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0
_CONNECT_TIMEOUT = 5.0
_ACKNOWLEDGE_TIMEOUT = 30.0

_log = logging.getLogger(__name__)


def pack(blob: bytes, largest: int = _LARGEST_PACKET) -> Iterator[bytes]:
    """Yield packets of whole lines, without the newline at their ends; a longer line goes alone. Pure.

    Empty lines at the edges of a packet are left out.
    """
    start = 0
    while start < len(blob):
        end = len(blob)
        if end - start > largest:
            end = blob.rfind(b"\n", start, start + largest + 1)
            if end < 0:
                end = blob.find(b"\n", start)
                end = len(blob) if end < 0 else end
        packet = blob[start:end].strip(b"\n")
        if packet:
            yield packet
        start = end + 1


class Repeater:
    """All servers that get a copy."""

    def __init__(self, settings: settings.RepeaterSection, clock: Callable[[], float] = time.monotonic) -> None:
        kind = socket.SOCK_DGRAM if settings.protocol == "udp" else socket.SOCK_STREAM
        addresses = [_ServerAddress(server, kind) for server in settings.servers]
        self._servers: list[_Udp | _Tcp]
        if kind == socket.SOCK_DGRAM:
            sockets = _UdpSockets()
            self._servers = [_Udp(address, sockets) for address in addresses]
        else:
            self._servers = [_Tcp(address, clock) for address in addresses]
        self._waiting: list[bytes] = []
        self._size = 0

    def send(self, blob: bytes | memoryview) -> None:
        """Take newline-joined lines to be sent soon. Never waits."""
        if not self._servers:
            return
        self._waiting.append(bytes(blob))
        self._size += len(blob)
        if self._size >= _WAITING:
            self._send_waiting()

    def turn(self) -> None:
        """Send what waits. Never waits itself."""
        if self._waiting:
            self._send_waiting()
        for server in self._servers:
            server.turn()

    def close(self) -> None:
        """Send what can be sent at once; the rest counts as dropped."""
        self.turn()
        for server in self._servers:
            server.close()

    def collect_counts(self) -> tuple[int, int]:
        """Return how many packets were sent and dropped since the last call, over all servers."""
        sent = sum(server.sent for server in self._servers)
        dropped = sum(server.dropped for server in self._servers)
        for server in self._servers:
            server.sent = server.dropped = 0
        return sent, dropped

    def _send_waiting(self) -> None:
        packets = list(pack(b"\n".join(self._waiting)))
        self._waiting.clear()
        self._size = 0
        for server in self._servers:
            server.send(packets)


class _Found(NamedTuple):
    family: int
    where: Any
    """As `connect` takes it."""


class _ServerAddress:
    """Where a server is. A name is looked up in a thread, as that may take minutes."""

    def __init__(self, server: str, kind: socket.SocketKind) -> None:
        host, _, port = server.rpartition(":")
        self.name = server
        self._host = host.removeprefix("[").removesuffix("]")
        self._port = int(port)
        self._kind = kind
        self._closed = threading.Event()
        self._complain = RateLimitedLog(_log, logging.WARNING, 60.0)
        self.found: list[_Found] = []
        """Replaced as a whole by the thread; empty as long as nothing is known."""
        try:
            self.found = self._look_up(socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            threading.Thread(target=self._keep_looking_up, name=f"resolver of {server}", daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def _keep_looking_up(self) -> None:
        pause = 0.0
        while not self._closed.wait(pause):
            try:
                self.found = self._look_up(0)
                pause = _RESOLVE_SECONDS
            except (OSError, UnicodeError) as error:
                # What was known before is better than nothing.
                self._complain("repeater: %s can't be looked up: %s", self.name, error)
                pause = _RETRY_SECONDS

    def _look_up(self, flags: int) -> list[_Found]:
        if not 0 < self._port < 65536:
            raise OSError("no such port")
        found = socket.getaddrinfo(self._host, self._port, type=self._kind, flags=flags)
        return [_Found(family, where) for family, _, _, _, where in found]


class _UdpSockets:
    """The socket of each family that is needed."""

    def __init__(self) -> None:
        self._made: dict[int, socket.socket] = {}

    def of(self, family: int) -> socket.socket:
        if family not in self._made:
            self._made[family] = socket.socket(family, socket.SOCK_DGRAM)
            self._made[family].setblocking(False)
        return self._made[family]

    def close(self) -> None:
        for made in self._made.values():
            made.close()
        self._made.clear()


class _Udp:
    """A server that is reached by UDP. Not connected: a refusal of one datagram would cost the next one."""

    def __init__(self, address: _ServerAddress, sockets: _UdpSockets) -> None:
        self._address = address
        self._sockets = sockets
        self._complain = RateLimitedLog(_log, logging.WARNING, 60.0)
        self.sent = 0
        self.dropped = 0

    def send(self, packets: list[bytes]) -> None:
        found = self._address.found
        if not found:
            # Its name is not known yet, about which its thread complains.
            self.dropped += len(packets)
            return
        for packet in packets:
            try:
                self._sockets.of(found[0].family).sendto(packet, found[0].where)
                self.sent += 1
            except OSError as error:
                self.dropped += 1
                self._complain("repeater: %s: %s", self._address.name, error.strerror)

    def turn(self) -> None:
        pass

    def close(self) -> None:
        self._address.close()
        self._sockets.close()


class _Tcp:
    """A server that is reached by TCP: a connection and the packets that wait for it."""

    def __init__(self, address: _ServerAddress, clock: Callable[[], float]) -> None:
        self._address = address
        self._clock = clock
        self._complain = RateLimitedLog(_log, logging.WARNING, 60.0, clock)
        self._queue: deque[bytes] = deque()
        self._queued = 0
        """Bytes."""
        self._batch = b""
        """The packets that were taken from the queue last."""
        self._batch_packets = 0
        self._batch_sent = 0
        """Bytes of it."""
        self._connection: socket.socket | None = None
        self._is_connected = False
        self._attempts = itertools.count()
        self._delay = _FIRST_DELAY
        self._next_event = 0.0
        """When to connect again, or to give up an attempt to."""
        self._connected_at = 0.0
        self.sent = 0
        self.dropped = 0

    def send(self, packets: list[bytes]) -> None:
        self._queue.extend(packets)
        self._queued += sum(map(len, packets))
        while self._queued > _QUEUE:
            self._queued -= len(self._queue.popleft())
            self.dropped += 1
        if self._is_connected:
            # Not only in turns: what comes in between may be more than the queue holds.
            self.turn()

    def turn(self) -> None:
        try:
            if self._connection is None:
                if self._address.found and self._clock() >= self._next_event:
                    self._connect(self._address.found)
            elif self._is_connected:
                self._listen(self._connection)
                self._push(self._connection)
            else:
                self._check_attempt(self._connection)
        except OSError as error:
            self._broken(error)

    def close(self) -> None:
        self._address.close()
        if self._connection:
            self._connection.close()
            self._connection = None
        self.dropped += len(self._queue) + self._batch_packets
        self._queue.clear()
        self._queued = self._batch_packets = self._batch_sent = 0
        self._batch = b""

    def _connect(self, found: list[_Found]) -> None:
        """Begin to connect, to another address of the server each time."""
        family, where = found[next(self._attempts) % len(found)]
        self._connection = socket.socket(family, socket.SOCK_STREAM)
        self._connection.setblocking(False)
        # A host that vanished without a word is noticed in seconds, not in a quarter of an hour.
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(_ACKNOWLEDGE_TIMEOUT * 1000))
        self._next_event = self._clock() + _CONNECT_TIMEOUT
        result = self._connection.connect_ex(where)
        if result not in (0, errno.EINPROGRESS):
            raise OSError(result, os.strerror(result))
        self._check_attempt(self._connection)

    def _check_attempt(self, connection: socket.socket) -> None:
        poll = select.poll()
        poll.register(connection, select.POLLOUT)
        if not poll.poll(0):
            if self._clock() >= self._next_event:
                raise TimeoutError(errno.ETIMEDOUT, "no answer")
            return
        result = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if result:
            raise OSError(result, os.strerror(result))
        self._is_connected = True
        self._connected_at = self._clock()
        _log.info("repeater: connected to %s", self._address.name)
        self._push(connection)

    def _listen(self, connection: socket.socket) -> None:
        """Notice that the server closed the connection; what it says is of no interest."""
        with contextlib.suppress(BlockingIOError):
            if not connection.recv(4096):
                raise ConnectionResetError(errno.ECONNRESET, "connection closed")

    def _push(self, connection: socket.socket) -> None:
        """Send until the kernel takes no more."""
        for _ in range(_SENDS_PER_PUSH):
            if not self._batch and not self._fill_batch():
                return
            try:
                self._batch_sent += connection.send(memoryview(self._batch)[self._batch_sent :])
            except BlockingIOError:
                return
            if self._batch_sent == len(self._batch):
                self.sent += self._batch_packets
                self._batch = b""
                self._batch_packets = self._batch_sent = 0

    def _fill_batch(self) -> bool:
        packets = [self._queue.popleft() for _ in range(min(_PACKETS_PER_SEND, len(self._queue)))]
        self._queued -= sum(map(len, packets))
        self._batch = b"".join(packet + b"\n" for packet in packets)
        self._batch_packets = len(packets)
        return bool(packets)

    def _broken(self, error: OSError) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None
        # The next connection begins with a whole line. Those before it may have arrived: sent again, they
        # would count twice.
        self._batch = self._batch[self._batch.rfind(b"\n", 0, self._batch_sent) + 1 :]
        self._batch_sent = 0
        if self._is_connected and self._clock() - self._connected_at >= _LONGEST_DELAY:
            # A connection that lasts proves itself; one that is closed at once doesn't.
            self._delay = _FIRST_DELAY
        self._is_connected = False
        self._next_event = self._clock() + self._delay
        self._delay = min(self._delay * 2, _LONGEST_DELAY)
        self._complain("repeater: %s: %s", self._address.name, error.strerror)
