"""Receives datagrams in batches into the log, for the reference engine; `compiled` has its own.

Twice the cost of receiving is waking up for it, so what has queued in the kernel is taken by the clock: every few
milliseconds, many datagrams with one call of recvmmsg(2). Python has no such call, hence ctypes.
"""

import ctypes
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol

from graphing.statsd.survival.datagram_log import LAYOUT

_NAME_SIZE = 32
_MSG_DONTWAIT = 0x40
_MSG_TRUNC = 0x20
_FAMILY = struct.Struct("=H")
_GATHER = 0.05
"""Seconds that a first datagram waits for others; a shorter wait, and waking up costs as much as reading."""
_ENOUGH = 4096
"""Datagrams that are not waited for any longer."""
_IN_THE_KERNEL = 832
"""Bytes that a small datagram takes of a socket's receive buffer."""
_BURST = 100_000
"""Datagrams a second that may come out of nothing: a receive buffer must have room for them."""


class Receiver(Protocol):
    """Receives into a log and feeds an engine."""

    @property
    def used(self) -> int:
        """Bytes in the log."""

    def begin(self, generation: int) -> None:
        """Go on with an empty log."""

    def receive(self, fds: list[int], seconds: float) -> bool:
        """Receive for `seconds` or until a signal; return True if the log must be compacted first."""

    def add(self, lines: bytes) -> bool:
        """Log and feed lines that came another way; return False, having done nothing, if the log has no room."""

    def collect_packets(self) -> tuple[int, int]:
        """Return how many datagrams came since the last call, and how many were longer than a slot."""


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Header(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _Message(ctypes.Structure):
    _fields_ = [("header", _Header), ("length", ctypes.c_uint32)]


class BatchReceiver:
    """Receives into `memory` (laid out as `datagram_log` says) and feeds each batch to `feed`."""

    def __init__(self, memory: Any, feed: Callable[[bytes], None]) -> None:
        self._feed = feed
        self._memory = memoryview(memory)
        self._words = self._memory.cast("Q")
        slots, size = LAYOUT["slots"], LAYOUT["slot_size"]
        self._slots = slots
        self._vectors = (_Vector * slots)()
        self._names = ctypes.create_string_buffer(slots * _NAME_SIZE)
        self._messages = (_Message * slots).from_buffer(memory, LAYOUT["messages"])
        staging = ctypes.addressof(ctypes.c_char.from_buffer(memory, LAYOUT["staging"]))
        for slot in range(slots):
            self._vectors[slot] = _Vector(staging + slot * size, size)
            header = self._messages[slot].header
            header.name = ctypes.addressof(self._names) + slot * _NAME_SIZE
            header.vectors = ctypes.pointer(self._vectors[slot])
            header.vector_count = 1
        self._address = ctypes.addressof(self._messages)
        self._recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
        self._recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        whole = self._memory[LAYOUT["messages"] :][: slots * ctypes.sizeof(_Message)].cast("I")
        step = ctypes.sizeof(_Message) // 4
        # Views of one field of all messages, to read and to clear them at once.
        self._lengths = whole[_Message.length.offset // 4 :: step]
        self._flags = whole[_Header.flags.offset // 4 :: step]
        self._name_lengths = whole[_Header.name_length.offset // 4 :: step]
        self._zeros = memoryview(bytes(4 * slots)).cast("I")
        self._name_sizes = memoryview(struct.pack(f"={slots}I", *[_NAME_SIZE] * slots)).cast("I")
        self._starts = range(LAYOUT["staging"], LAYOUT["staging"] + slots * size, size)
        self._got: list[memoryview] = []
        """The datagrams of the last batch, in their slots."""
        self._sequence = 0
        self._generation = 0
        self._log_packets = 0
        self._packets = 0
        self._truncated = 0
        self._rate = 0.0
        self._longest = _GATHER
        self._gathering = GatheringTime()
        self._last_drain = 0.0
        self.used = 0

    def begin(self, generation: int) -> None:
        """Go on with an empty log."""
        self._generation = generation
        self.used = 0
        self._log_packets = 0
        self._count()
        self._publish()

    def _count(self) -> None:
        """Say in one store how many datagrams the log holds and up to which batch they are counted."""
        self._words[LAYOUT["packets"] // 8] = self._log_packets << 16 | self._sequence & 0xFFFF

    def _publish(self) -> None:
        """Say in one store how much of the log counts and that the staged datagrams are in it."""
        word = self.used << 32 | (self._generation & 0xFFFF) << 16 | self._sequence & 0xFFFF
        self._words[LAYOUT["word"] // 8] = word

    def receive(self, fds: list[int], seconds: float) -> bool:
        """Receive for `seconds` or until a signal; return True if the log must be compacted first."""
        end = time.monotonic() + seconds
        self._longest = self._gathering.longest(fds)
        while True:
            got = 0
            for fd in fds:
                while True:
                    if self.used + self._slots * (LAYOUT["slot_size"] + 1) > LAYOUT["log_size"]:
                        return True
                    count = self._receive_batch(fd)
                    got += count
                    if count < self._slots or time.monotonic() >= end:
                        break
            if not self._wait(fds, got, end):
                return False

    def _wait(self, fds: list[int], got: int, end: float) -> bool:
        """Let datagrams queue; return False when the time is over."""
        now = time.monotonic()
        if now >= end:
            return False
        nap = self._nap(got, now)
        if not got:
            poll = select.poll()
            for fd in fds:
                poll.register(fd, select.POLLIN)
            if not poll.poll((end - now) * 1000):
                return False
            self._last_drain = now
            nap = self._longest
        time.sleep(max(0.0, min(nap, end - time.monotonic())))
        return True

    def _nap(self, got: int, now: float) -> float:
        elapsed = now - self._last_drain
        self._last_drain = now
        self._rate += 0.3 * (got / max(elapsed, 1e-6) - self._rate)
        return min(self._longest, max(0.0005, _ENOUGH / max(self._rate, 1.0)))

    def _receive_batch(self, fd: int) -> int:
        self._lengths[:] = self._zeros
        self._name_lengths[:] = self._name_sizes
        self._words[LAYOUT["announced"] // 8] = self._sequence + 1
        count = int(self._recvmmsg(fd, self._address, self._slots, _MSG_DONTWAIT, None))
        if count <= 0:
            return 0
        memory = self._memory
        lengths = self._lengths[:count].tolist()
        got = [memory[at : at + length] for at, length in zip(self._starts, lengths, strict=False)]
        if any(self._flags[:count].tolist()):
            self._cut_truncated(got)
        self._got = got
        self._sequence += 1
        self._packets += count
        self._log_packets += count
        self._count()
        self._log_and_feed(b"\n".join(got))
        return count

    def _cut_truncated(self, got: list[memoryview]) -> None:
        for slot, flags in enumerate(self._flags[: len(got)].tolist()):
            if flags & _MSG_TRUNC:
                # The end is missing; what is left of its line could pass for a whole one.
                got[slot] = got[slot][: bytes(got[slot]).rfind(b"\n") + 1]
                self._truncated += 1

    def _log_and_feed(self, lines: bytes) -> None:
        start = LAYOUT["log"] + self.used
        self._memory[start : start + len(lines)] = lines
        self._memory[start + len(lines)] = 10
        self.used += len(lines) + 1
        self._publish()
        self._feed(lines)

    def add(self, lines: bytes) -> bool:
        """Log and feed lines that came another way; return False, having done nothing, if the log has no room."""
        if self.used + len(lines) + 1 > LAYOUT["log_size"]:
            return False
        if lines:
            self._got = []
            self._log_and_feed(lines)
        return True

    def collect_packets(self) -> tuple[int, int]:
        """Return how many datagrams came since the last call, and how many were longer than a slot."""
        counts = self._packets, self._truncated
        self._packets = self._truncated = 0
        return counts

    def sender_of(self, line: str) -> str:
        """Return who sent a line of the last batch."""
        raw = line.encode("latin-1")
        slot = next((slot for slot, datagram in enumerate(self._got) if raw in bytes(datagram)), None)
        if slot is None:
            return ""
        return sender_text(self._names.raw[slot * _NAME_SIZE : (slot + 1) * _NAME_SIZE])


class GatheringTime:
    """For how long datagrams may gather."""

    def __init__(self) -> None:
        self._fds: list[int] = []
        self._longest = _GATHER

    def longest(self, fds: list[int]) -> float:
        """Return seconds, by the smallest receive buffer of the sockets."""
        if fds != self._fds:
            self._fds = list(fds)
            self._longest = min([_GATHER, *(_receive_buffer(fd) / _IN_THE_KERNEL / _BURST for fd in fds)])
        return self._longest


def _receive_buffer(fd: int) -> int:
    borrowed = socket.socket(fileno=fd)
    try:
        return borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    finally:
        borrowed.detach()


def sender_text(address: bytes) -> str:
    """Return a struct sockaddr as text, "" for none and for Unix sockets, whose clients have no address."""
    if not address:
        return ""
    (family,) = _FAMILY.unpack(address[:2])
    port = int.from_bytes(address[2:4], "big")
    if family == socket.AF_INET:
        return f"{socket.inet_ntop(family, address[4:8])} port {port}"
    if family == socket.AF_INET6:
        return f"{socket.inet_ntop(family, address[8:24]).removeprefix('::ffff:')} port {port}"
    return ""
