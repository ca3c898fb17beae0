"""What was handed over to be sent, from then until it counts as delivered: in memory, on disk, and then gone.

A flush goes to the journal on disk first, and only then may it be sent; what may not have arrived is sent again.
Three kinds of lines wait: fresh ones, those that could not be sent when they were fresh, and those that were delivered
but that the other side may have lost. `Delivery` decides which is next and knows positions only; the bytes are here.
"""

import logging
import math
import threading
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

from graphing.core.log import RateLimitedLog
from graphing.durable.delivery import Delivery, Next
from graphing.durable.inbox import Inbox, Put, batches
from graphing.durable.journal import InUse, Journal
from graphing.durable.mark import Mark
from graphing.durable.record import Record
from graphing.durable.span import Position, Span
from graphing.durable.spool import Spool

QUEUE_LINES = 1_000_000
"""How many lines may wait in memory, where there is no journal or while its disk is full."""

_SYNC_BYTES = 32 * 1024 * 1024
"""Records beyond this are synced before their flush is complete, so that they need no memory."""

_DISK_RETRY_SECONDS = 1.0
"""How long a disk that refused a write is left alone."""

_SEGMENTS = 16
"""How many segments a full journal has: with each of them, a sixteenth of it goes."""

_LARGEST_SEGMENT = 64 * 1024 * 1024

_log = logging.getLogger(__name__)


class Limits(NamedTuple):
    """How much is kept: bytes and seconds of the journal, and seconds of what was sent that may be sent again."""

    journal_bytes: int
    journal_seconds: int
    replay_seconds: int


class ShelfCounts(NamedTuple):
    """Lines that were sent, dropped, and sent again after delivery."""

    sent: int
    dropped: int
    replayed: int


class _Commit(NamedTuple):
    """The end of a complete flush, and its time."""

    end: Position
    stamp: int


class Shelf:
    """Keeps lines until they are delivered.

    Any thread may hand over and ask; the thread that stores and sends calls the rest.
    """

    def __init__(self, journal: Journal | None, limits: Limits, queue_lines: int = QUEUE_LINES) -> None:
        """Begin with what an earlier process left in the journal; without one, lines wait in memory.

        At most `queue_lines` wait there.
        """
        self._limits = limits
        self._queue_lines = queue_lines
        self._complain = RateLimitedLog(_log, logging.ERROR, 60.0)
        # Guarded by _lock: what was put, what is to be sent, and the counts.
        self._lock = threading.Lock()
        self._inbox = Inbox(queue_lines)
        self._spool = Spool(journal)
        self._delivery = _left_over(self._spool, limits.replay_seconds)
        self._sent = self._dropped = self._replayed = self._durable = 0
        # Used by the sending thread only.
        self._committing: deque[_Commit] = deque()
        """Flushes that are complete but may not be sent yet."""
        self._promised: deque[_Commit] = deque()
        """Flushes that may be sent but are not known to be durable."""
        self._stamp = 0
        self._disk_fails = False
        self._disk_retry = 0.0
        self._saved = (self._delivery.delivered(), self._delivery.doubtful())
        if journal and journal.mark and journal.mark.rebooted:
            # What receives on this host went down too, and what it had not written is lost.
            self.send_again(journal.mark.when)

    # What any thread may call

    def put(self, lines: bytes, count: int, stamp: int) -> bool:
        """Take `count` whole lines of the flush at `stamp`; tell whether storing them now is worth a wake-up.

        Never waits, does no I/O. Beyond `queue_lines` that were not drained yet, the oldest go and are counted.
        """
        put = Put(lines, count, stamp)
        with self._lock:
            self._dropped += self._inbox.put(put)
            return self._inbox.is_filled_by(put)

    def commit(self) -> None:
        """Note that the flush is complete: it is synced and then sent. Never waits, does no I/O."""
        with self._lock:
            self._inbox.complete()

    def durable(self) -> int:
        """Return the stamp of the newest committed flush that survives a crash, or 0.

        It is on disk, as are all before it; or, while there is no journal, it was sent.
        """
        with self._lock:
            return self._durable

    def queued(self) -> int:
        """Return how many lines were put and neither sent nor dropped."""
        with self._lock:
            uncommitted = self._spool.end.lines - self._delivery.end.lines
            return self._inbox.lines + uncommitted + self._delivery.lines()

    def collect_counts(self) -> ShelfCounts:
        """Return what was counted since the last call.

        What was sent on a connection that then broke is queued again, and taken off what is sent after it.
        """
        with self._lock:
            counts = ShelfCounts(max(0, self._sent), self._dropped, self._replayed)
            self._sent -= counts.sent
            self._dropped = self._replayed = 0
            return counts

    def journal_bytes(self) -> int:
        """Return how many bytes the journal's segments hold."""
        return self._spool.journal.size if self._spool.journal else 0

    def unconfirmed(self) -> list[str]:
        """Return every line that may not have arrived and that is not safely on disk, oldest first."""
        with self._lock:
            chunks = [record.payload for record in self._spool.in_memory()]
            chunks += self._inbox.pieces()
        return [line for chunk in chunks for line in chunk.decode("ascii").splitlines(keepends=True)]

    def is_drained(self) -> bool:
        """Tell whether all that was put is in the spool."""
        with self._lock:
            return not self._inbox

    def is_delivered(self) -> bool:
        """Tell whether all that was put counts as delivered."""
        with self._lock:
            return not self._inbox and self._delivery.delivered() == self._spool.end

    # Storing

    @property
    def is_in_memory(self) -> bool:
        """Whether lines wait in memory alone: there is no journal, or its disk refuses them."""
        return self._spool.journal is None or self._disk_fails

    def set_limits(self, limits: Limits) -> None:
        """Keep so much from now on."""
        self._limits = limits
        with self._lock:
            self._delivery.history_seconds = limits.replay_seconds

    def drain_inbox(self) -> None:
        """Move what was put to the spool. Whoever puts more meanwhile doesn't wait for the joining."""
        with self._lock:
            drained = self._inbox.drain()
        if not drained:
            return
        found = list(batches(drained))
        with self._lock:
            for batch in found:
                for chunk in batch.chunks:
                    self._spool.add(*chunk)
                    self._stamp = chunk.stamp
                if batch.complete:
                    self._committing.append(_Commit(self._spool.end, self._stamp))
            self._inbox.forget()

    def store(self, *, connected: bool, retry_disk: bool = False) -> None:
        """Bring the spool to disk, and release for sending what may be sent.

        `connected`: it can be sent at once, so that it does not have to wait behind what waits already.
        `retry_disk`: try a disk again that has just refused.
        """
        journal = self._spool.journal
        if journal and self._spool.in_memory() and (retry_disk or time.monotonic() >= self._disk_retry):
            self._store_on(journal)
        if self.is_in_memory:
            with self._lock:
                for span in self._spool.drop_oldest(self._queue_lines):
                    self._dropped += self._delivery.remove(span)
        self._release_commits(connected=connected)
        self._note_durable()

    def _store_on(self, journal: Journal) -> None:
        try:
            try:
                self._spool.write()
            finally:
                if self._committing or self._disk_fails or self._spool.bytes_in_memory() >= _SYNC_BYTES:
                    self._spool.sync()
            if self._disk_fails:
                _log.warning("%s can be written again", journal.folder)
            self._disk_fails = False
        except OSError as error:
            self._disk_fails = True
            self._disk_retry = time.monotonic() + _DISK_RETRY_SECONDS
            self._complain("%s can't be written (%s): lines wait in memory", journal.folder, error.strerror)
        removed = journal.trim(self._limits.journal_bytes, int(time.time()) - self._limits.journal_seconds)
        if removed.start < removed.end:
            self._drop(Span(Position(0, 0), removed.end))

    def _release_commits(self, *, connected: bool) -> None:
        """Let complete flushes be sent: they were synced just now, or the disk can't take them."""
        with self._lock:
            while self._committing:
                commit = self._committing.popleft()
                self._delivery.commit(commit.end, connected=connected)
                self._promised.append(commit)

    def _note_durable(self) -> None:
        """Note which flushes survive a crash."""
        with self._lock:
            safe = max(self._spool.synced, self._delivery.waits_from())
            while self._promised and self._promised[0].end.offset <= safe.offset:
                self._durable = self._promised.popleft().stamp

    def _drop(self, span: Span) -> None:
        with self._lock:
            self._dropped += self._delivery.remove(span)

    # Sending

    def next(self) -> Next | None:
        """Return what is to be sent next, or None."""
        with self._lock:
            return self._delivery.next()

    def has_to_send(self) -> bool:
        """Tell whether anything must still be sent before the process ends: what is fresh, or in memory alone."""
        with self._lock:
            return self._delivery.lines() > 0 if self.is_in_memory else self._delivery.has_fresh()

    def read(self, upcoming: Next) -> Record | None:
        """Return the first good record of what is to be sent. What lies before it can't be read: it is dropped."""
        record = self._spool.read(upcoming.span)
        found = record.span.start if record else upcoming.span.end
        if upcoming.span.start.offset < found.offset:
            # Damaged, or dropped before its flush was complete.
            self._drop(Span(upcoming.span.start, found))
        return record

    def note_sent(self, span: Span, *, again: bool, total: int) -> None:
        """Note what was handed to the kernel; `total` is all bytes of the connection up to its end."""
        with self._lock:
            self._sent += self._delivery.sent(span, again=again, total=total, now=time.monotonic(), wall=time.time())
            if again:
                self._replayed += span.lines

    def note_broken_connection(self) -> None:
        """Let wait again what was under way."""
        with self._lock:
            self._sent -= self._delivery.broken()

    def send_again(self, alive: float) -> None:
        """Send again what the other side may have lost that was last known alive then, in seconds since 1970."""
        since = alive - self._limits.replay_seconds
        position = self._spool.position_at(math.floor(since))
        with self._lock:
            self._delivery.send_again(since, position)

    def confirm(self, acknowledged: int, until: float) -> None:
        """Count as delivered what was sent before `until` (monotonic) and lies in the `acknowledged` bytes."""
        with self._lock:
            if self._delivery.confirm(acknowledged, until) and self.is_in_memory:
                self._spool.keep(self._delivery.needed(), self._delivery.end)

    def save_mark(self, healthy: float | None) -> None:
        """Remember on disk how far delivery came; `healthy` is when the connection was last known to be so."""
        journal = self._spool.journal
        if journal is None:
            return
        with self._lock:
            positions = self._delivery.delivered(), self._delivery.doubtful()
        delivered, doubtful = (min(position, journal.synced) for position in positions)
        if (delivered, doubtful) == self._saved:
            return
        try:
            journal.save_mark(Mark(delivered, doubtful, int(healthy or time.time())))
            self._saved = delivered, doubtful
        except OSError as error:
            self._complain("%s: %s", journal.folder, error.strerror)

    def close(self) -> None:
        """Let other processes have the journal."""
        if self._spool.journal:
            self._spool.journal.close()


def open_journal(folder: str, limits: Limits) -> Journal | None:
    """Open the journal, if there is one that can be used; without a folder there is none. Raises InUse."""
    if not folder:
        return None
    segment_bytes = min(_LARGEST_SEGMENT, limits.journal_bytes // _SEGMENTS)
    try:
        return Journal(Path(folder), segment_bytes, max(1, limits.journal_seconds // _SEGMENTS))
    except InUse:
        raise
    except OSError as error:
        _log.error("%s can't be used (%s): lines wait in memory, until a restart", folder, error.strerror)
        return None


def _left_over(spool: Spool, replay_seconds: float) -> Delivery:
    """Return a delivery that begins with what an earlier process did not deliver."""
    mark = spool.journal.mark if spool.journal else None
    delivered, doubtful = (mark.delivered, mark.doubtful) if mark else (spool.first, spool.first)
    delivered, doubtful = max(spool.first, delivered), max(spool.first, doubtful)
    return Delivery(spool.end, Span(delivered, spool.end), Span(doubtful, delivered), replay_seconds)
