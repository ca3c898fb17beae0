"""The memory in front of a journal: records that are not safely on disk yet, or for which there is no disk."""

import bisect

from graphing.durable.journal import Journal
from graphing.durable.record import Record, record_at
from graphing.durable.span import Position, Span, is_in, merged


class Spool:
    """A journal, or none, and in front of it in memory the records that it does not hold safely yet.

    Each record has its position from the beginning and keeps it, in memory and on disk. Only one
    thread changes a spool; `in_memory` may be asked by any.
    """

    def __init__(self, journal: Journal | None) -> None:
        self.journal = journal
        self.end = journal.end if journal else Position(0, 0)
        self._tail: list[Record] = []
        self._written = 0

    @property
    def first(self) -> Position:
        """Where the oldest record begins; `end` if there is none."""
        if self.journal and self.journal.first < self.journal.synced:
            return self.journal.first
        return self._tail[0].span.start if self._tail else self.end

    @property
    def synced(self) -> Position:
        """Up to where records are on disk."""
        return self.journal.synced if self.journal else Position(0, 0)

    def in_memory(self) -> list[Record]:
        """Return the records that are not safely on disk, oldest first."""
        return self._tail[:]

    def lines_in_memory(self) -> int:
        """Return how many lines those have."""
        return sum(record.span.lines for record in self._tail)

    def bytes_in_memory(self) -> int:
        """Return how many bytes those have."""
        return self.end.offset - self._tail[0].span.start.offset if self._tail else 0

    def add(self, payload: bytes, lines: int, stamp: int) -> None:
        """Take a record of `lines` lines into memory."""
        record = record_at(self.end, payload, lines, stamp)
        self._tail.append(record)
        self.end = record.span.end

    def write(self) -> None:
        """Append to the journal what it does not have. Raises OSError: the rest stays in memory."""
        if self.journal is None:
            return
        try:
            for record in self._tail[self._written :]:
                self.journal.skip_to(record.span.start)
                self.journal.append(record.payload, record.span.lines, record.stamp)
                self._written += 1
        finally:
            self._count_written(self.journal)

    def sync(self) -> None:
        """Put on disk what was written and forget it here. Raises OSError: then all of it is still in memory."""
        if self.journal is None:
            return
        try:
            self.journal.sync()
        finally:
            self._count_written(self.journal)
        self._tail, self._written = self._tail[self._written :], 0

    def _count_written(self, journal: Journal) -> None:
        # A sync that fails, also the one at the end of a segment, takes records back.
        self._written = sum(record.span.end.offset <= journal.end.offset for record in self._tail)

    def read(self, span: Span) -> Record | None:
        """Return the first good record of `span`, or None."""
        if self.journal and span.start.offset < self.journal.synced.offset:
            record = self.journal.read(Span(span.start, min(span.end, self.journal.synced)))
            if record:
                return record
        index = bisect.bisect_left(self._tail, span.start.offset, key=lambda record: record.span.start.offset)
        found = self._tail[index : index + 1]
        return found[0] if found and found[0].span.start.offset < span.end.offset else None

    def position_at(self, stamp: int) -> Position:
        """Return where the first record begins whose stamp is not less than `stamp`; `end` if there is none."""
        if self.journal:
            position = self.journal.position_at(stamp)
            if position < self.journal.synced:
                return position
        return next((record.span.start for record in self._tail if record.stamp >= stamp), self.end)

    def keep(self, needed: list[Span], end: Position) -> None:
        """Drop from memory what lies before `end` and outside of `needed` (as `merged` returns it)."""
        spans = [*needed, Span(end, self.end)]
        kept = {record.span for record in self._tail if is_in(record.span, spans)}
        self._written = sum(record.span in kept for record in self._tail[: self._written])
        self._tail = [record for record in self._tail if record.span in kept]

    def drop_oldest(self, max_lines: int) -> list[Span]:
        """Drop the oldest records from memory until at most `max_lines` lines are left; return where they were."""
        lines = self.lines_in_memory()
        count = 0
        while lines > max_lines:
            lines -= self._tail[count].span.lines
            count += 1
        dropped = merged(record.span for record in self._tail[:count])
        self._tail, self._written = self._tail[count:], max(0, self._written - count)
        return dropped
