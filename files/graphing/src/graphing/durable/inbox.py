"""What a flush hands over, until the sender's thread drains it: pieces of lines, and the ends of flushes."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

CHUNK_BYTES = 256 * 1024
"""Most bytes of a record, which is what is read, and sent, at once."""

_WAITING_BYTES = 8 * 1024 * 1024
"""Bytes that are worth draining before their flush is complete; to drain fewer would only slow the flush down."""


class Put(NamedTuple):
    """What `Shelf.put` got: whole lines, how many, and the flush's time in seconds since 1970."""

    data: bytes
    lines: int
    stamp: int


class Batch(NamedTuple):
    """Lines of one flush in as few pieces as there can be; `complete`: the flush ends with them."""

    chunks: list[Put]
    complete: bool


class Inbox:
    """Bounded, first in, first out; not safe for threads by itself.

    What was drained stays here until `forget`, so that at any time all that is nowhere else is here.
    """

    def __init__(self, most_lines: int) -> None:
        self._most_lines = most_lines
        self._waiting: deque[Put | None] = deque()
        self._drained: deque[Put | None] = deque()
        self._waiting_lines = self._waiting_bytes = self._drained_lines = 0

    @property
    def lines(self) -> int:
        """How many lines are here."""
        return self._waiting_lines + self._drained_lines

    def __bool__(self) -> bool:
        return bool(self._waiting or self._drained)

    def put(self, lines: Put) -> int:
        """Add lines; return how many of the oldest had to go for them."""
        self._waiting.append(lines)
        self._waiting_lines += lines.lines
        self._waiting_bytes += len(lines.data)
        dropped = 0
        while self._waiting_lines > self._most_lines:
            oldest = next(put for put in self._waiting if put)
            self._waiting.remove(oldest)
            self._waiting_lines -= oldest.lines
            self._waiting_bytes -= len(oldest.data)
            dropped += oldest.lines
        return dropped

    def is_filled_by(self, lines: Put) -> bool:
        """Tell whether these, put last, made it worth draining what waits."""
        return self._waiting_bytes >= _WAITING_BYTES > self._waiting_bytes - len(lines.data)

    def complete(self) -> None:
        """Note that a flush ends here."""
        self._waiting.append(None)

    def drain(self) -> deque[Put | None]:
        """Return what waits; None is the end of a flush."""
        self._drained, self._waiting = self._waiting, deque()
        self._drained_lines, self._waiting_lines, self._waiting_bytes = self._waiting_lines, 0, 0
        return self._drained

    def forget(self) -> None:
        """Forget what was drained: it is somewhere else now."""
        self._drained = deque()
        self._drained_lines = 0

    def pieces(self) -> list[bytes]:
        """Return all lines, oldest first."""
        return [put.data for put in (*self._drained, *self._waiting) if put]


def batches(drained: Iterable[Put | None]) -> Iterator[Batch]:
    """Return what was drained, flush by flush."""
    group: list[Put] = []
    for put in drained:
        if put:
            group.append(put)
        else:
            yield Batch(list(chunks(group)), complete=True)
            group = []
    if group:
        yield Batch(list(chunks(group)), complete=False)


def chunks(puts: Iterable[Put]) -> Iterator[Put]:
    """Return the same lines, of one stamp each, in as few pieces as there can be of at most 256 KiB."""
    for stamp, group in itertools.groupby(puts, lambda put: put.stamp):
        parts: list[Put] = []
        size = 0
        for put in itertools.chain.from_iterable(map(_split, group)):
            if parts and size + len(put.data) > CHUNK_BYTES:
                yield _joined(parts, stamp)
                parts, size = [], 0
            parts.append(put)
            size += len(put.data)
        yield _joined(parts, stamp)


def _joined(parts: list[Put], stamp: int) -> Put:
    return Put(b"".join(part.data for part in parts), sum(part.lines for part in parts), stamp)


def _split(put: Put) -> Iterator[Put]:
    """Split what is too large, between lines."""
    data = put.data
    if len(data) <= CHUNK_BYTES:
        yield put
        return
    start = 0
    while start < len(data):
        # No line is as long as a chunk.
        end = len(data) if len(data) - start <= CHUNK_BYTES else data.rindex(b"\n", start, start + CHUNK_BYTES) + 1
        part = data[start:end]
        yield Put(part, part.count(b"\n"), put.stamp)
        start = end
