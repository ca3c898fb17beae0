"""Lines to carbon over TCP, in a thread of its own, so that a slow carbon or disk never delays reception.

Carbon acknowledges nothing: what it had not written is gone when its process ends. So the lines of a
flush go to the journal on disk first, and only then to carbon; what may not have arrived is sent
again. Whisper holds one value per slot, so what arrives twice does no harm.

Three kinds of lines wait: fresh ones, those that could not be sent when they were fresh, and those
that were delivered but that a carbon which went away may have lost. They are sent in this order, the
two latter at a bounded rate. `Plan` decides that, and knows positions only; `Sender` moves the bytes.
"""

import contextlib
import fcntl
import logging
import math
import os
import select
import socket
import sys
import termios
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from graphing.core.log import RateLimitedLog
from graphing.durable.delivery import Pace, Plan
from graphing.durable.inbox import Inbox, Put, batches
from graphing.durable.journal import InUse, Journal
from graphing.durable.mark import Mark
from graphing.durable.span import Position, Span
from graphing.durable.spool import Spool
from graphing.statsd.outward.watch import Dialing, Watch, ended
from graphing.statsd.settings import Carbon

QUEUE_LINES = 1_000_000
"""How many lines may wait in memory, where there is no journal or while its disk is full."""

_SYNC_BYTES = 32 * 1024 * 1024
"""Records beyond this are synced before their flush is complete, so that they need no memory."""

_KEEP_SECONDS = 5.0
"""How long a connection must be healthy after lines were sent before they count as delivered."""

_CHECK_SECONDS = 0.5
"""How often an idle connection is looked at."""

_DISK_RETRY_SECONDS = 1.0
_SEGMENTS = 16
"""How many segments a full journal has: with each of them, a sixteenth of it goes."""

_LARGEST_SEGMENT = 64 * 1024 * 1024
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0
_SEND_TIMEOUT = 30.0
"""Carbon stops reading while its cache is full; after so long without progress the connection counts as broken."""

_VANISHED_SECONDS = 30.0
"""After so long without an answer the other host counts as gone; TCP by itself takes a quarter of an hour."""

_NOT_SENT_BYTES = 128 * 1024
"""What the kernel may hold back of a connection: a fresh line waits behind that much."""

_log = logging.getLogger(__name__)


class _Commit(NamedTuple):
    end: Position
    stamp: int


class Sender:
    """The lines on their way and the thread that stores and sends them."""

    def __init__(self, carbon: Carbon, queue_lines: int = QUEUE_LINES) -> None:
        """Open the journal; without one, or if it can't be used, lines wait in memory.

        At most `queue_lines` wait there. Raises InUse if another process has the journal.
        """
        self._carbon = carbon
        self._queue_lines = queue_lines
        self._complain = RateLimitedLog(_log, logging.WARNING, 1.0)
        self._complain_disk = RateLimitedLog(_log, logging.ERROR, 60.0)
        journal = _opened(carbon)
        # Guarded by _lock: what was put, the plan, and the counts.
        self._lock = threading.Lock()
        self._inbox = Inbox(queue_lines)
        self._spool = Spool(journal)
        self._plan = _planned(self._spool, carbon.replay_seconds)
        self._sent = self._dropped = self._replayed = self._durable = 0
        self._deadline: float | None = None
        self._reconfigured: Carbon | None = None
        # Used by the thread only: what is stored,
        self._committing: deque[_Commit] = deque()
        """Flushes that are complete but may not be sent yet."""
        self._promised: deque[_Commit] = deque()
        """Flushes that may be sent but are not known to be durable."""
        self._stamp = 0
        self._disk_fails = False
        self._disk_retry = 0.0
        self._saved = (self._plan.delivered(), self._plan.doubtful())
        # the connection,
        self._dialing: Dialing | None = None
        self._connection: socket.socket | None = None
        self._connected_at = self._next_attempt = self._next_check = 0.0
        self._healthy: float | None = None
        """When the connection was last known healthy, in seconds since 1970."""
        self._delay = _FIRST_DELAY
        self._gave_up = False
        self.trouble = ""
        """Why there is no connection to carbon; empty while there is one, and before the first attempt."""
        # and what goes through it.
        self._chunk: _Chunk | None = None
        self._total = self._acknowledged = 0
        self._progress = 0.0
        self._pace = Pace(carbon.replay_rate)
        # Never closed: `put` may be called as long as the process lives.
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._watch = Watch(carbon.watch, self._send_again)
        if journal and journal.mark and journal.mark.rebooted:
            # A carbon on this host went down too, and what it had not written is lost.
            self._send_again(journal.mark.when)
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    # What other threads call

    def start(self) -> None:
        """Begin to store and to send."""
        self._thread.start()

    def put(self, lines: bytes, count: int, stamp: int) -> None:
        """Take `count` whole lines, each with its newline, of the flush at `stamp`. Never waits, does no I/O.

        Beyond `queue_lines` that the thread has not taken yet, the oldest go and are counted.
        """
        if not count:
            return
        put = Put(lines, count, stamp)
        with self._lock:
            self._dropped += self._inbox.put(put)
            full = self._inbox.is_filled_by(put)
        if full:
            os.eventfd_write(self._wake, 1)

    def commit(self) -> None:
        """Note that the flush is complete: it is synced and then sent. Never waits, does no I/O."""
        with self._lock:
            self._inbox.complete()
        os.eventfd_write(self._wake, 1)

    def durable(self) -> int:
        """Return the stamp of the newest committed flush that survives a crash, or 0.

        It is on disk, as are all before it; or, while there is no journal, it was sent.
        """
        with self._lock:
            return self._durable

    def queued(self) -> int:
        """Return how many lines were put and neither sent nor dropped."""
        with self._lock:
            uncommitted = self._spool.end.lines - self._plan.end.lines
            return self._inbox.lines + uncommitted + self._plan.lines()

    def take_counts(self) -> tuple[int, int, int]:
        """Return how many lines were sent, dropped, and sent again after delivery, since the last call.

        What was sent on a connection that then broke is queued again, and taken off what is sent after it.
        """
        with self._lock:
            sent = max(0, self._sent)
            counts = sent, self._dropped, self._replayed
            self._sent -= sent
            self._dropped = self._replayed = 0
            return counts

    def journal_bytes(self) -> int:
        """Return how many bytes the journal's segments hold."""
        return self._spool.journal.size if self._spool.journal else 0

    def unconfirmed(self) -> list[str]:
        """Return every line that carbon may not have and that is not safely on disk, oldest first."""
        with self._lock:
            chunks = [record.payload for record in self._spool.in_memory()]
            chunks += self._inbox.pieces()
        return [line for chunk in chunks for line in chunk.decode("ascii").splitlines(keepends=True)]

    def reconfigure(self, carbon: Carbon) -> None:
        """Use other settings from now on. The journal's folder stays what it was."""
        with self._lock:
            self._reconfigured = carbon
        os.eventfd_write(self._wake, 1)

    def close(self, seconds: float) -> list[str]:
        """Commit, and try for at most `seconds` to send what is fresh or only in memory; end the thread.

        Returns the lines that carbon may not have and that are not on disk. The journal is closed.
        """
        with self._lock:
            self._inbox.complete()
            self._deadline = time.monotonic() + seconds
        if self._thread.ident is None:
            self._end()
        else:
            os.eventfd_write(self._wake, 1)
            # What follows the deadline takes a moment only, if the disk answers.
            self._thread.join(seconds + 1)
        return self.unconfirmed()

    # The thread

    def _run(self) -> None:
        while not self._is_done():
            self._wait()
            self._apply_settings()
            self._take()
            self._store()
            self._connect()
            self._send()
            if time.monotonic() >= self._next_check:
                self._next_check = time.monotonic() + _CHECK_SECONDS
                self._check()
        self._finish()
        self._end()

    def _is_done(self) -> bool:
        with self._lock:
            if self._deadline is None:
                return False
            if self._inbox:
                return False
            if time.monotonic() >= self._deadline or self._gave_up:
                return True
            waits = self._plan.lines() > 0 if self._in_memory() else self._plan.has_fresh()
            return not waits and self._chunk is None

    def _in_memory(self) -> bool:
        return self._spool.journal is None or self._disk_fails

    def _wait(self) -> None:
        """Sleep until there is something to do, at most until the next check."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        ends = [self._next_check] if self._deadline is None else [self._next_check, self._deadline]
        seconds = max(0.0, min(ends) - time.monotonic())
        if self._connection is not None:
            wait = self._send_wait()
            poll.register(self._connection, select.POLLIN | (select.POLLOUT if wait == 0 else 0))
            if wait:
                seconds = min(seconds, wait)
        elif self._dialing is not None:
            poll.register(self._dialing, select.POLLOUT)
        else:
            seconds = min(seconds, max(0.0, self._next_attempt - time.monotonic()))
        poll.poll(seconds * 1000 + 1)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def _send_wait(self) -> float | None:
        """Return for how many seconds nothing may be sent; None: there is nothing."""
        if self._chunk is not None:
            return 0
        with self._lock:
            upcoming = self._plan.next()
            if upcoming is None:
                return None
            return 0 if upcoming.fresh or self._hurries() else self._pace.wait(time.monotonic())

    def _hurries(self) -> bool:
        return self._deadline is not None and self._in_memory()

    def _apply_settings(self) -> None:
        with self._lock:
            carbon, self._reconfigured = self._reconfigured, None
        if carbon is None:
            return
        before, self._carbon = self._carbon, carbon
        if carbon.journal != before.journal:
            _log.warning("carbon.journal needs a restart: still %s", before.journal or "in memory")
        self._pace = Pace(carbon.replay_rate)
        with self._lock:
            self._plan.history_seconds = carbon.replay_seconds
        if carbon.watch != before.watch:
            self._watch.close()
            self._watch = Watch(carbon.watch, self._send_again)
        if (carbon.host, carbon.port) != (before.host, before.port):
            self._disconnect()
            self._healthy = None
            self._next_attempt, self._delay = 0.0, _FIRST_DELAY

    # Storing

    def _take(self) -> None:
        """Move what was put to the spool. Whoever puts more meanwhile doesn't wait for the joining."""
        with self._lock:
            taken = self._inbox.take()
        if not taken:
            return
        found = list(batches(taken))
        with self._lock:
            for batch in found:
                for chunk in batch.chunks:
                    self._spool.add(*chunk)
                    self._stamp = chunk.stamp
                if batch.complete:
                    self._committing.append(_Commit(self._spool.end, self._stamp))
            self._inbox.forget()

    def _store(self) -> None:
        """Bring the spool to disk, and release for sending what may be sent."""
        journal = self._spool.journal
        if journal and self._spool.in_memory() and time.monotonic() >= self._disk_retry:
            self._store_on(journal)
        if self._in_memory():
            with self._lock:
                for span in self._spool.drop_oldest(self._queue_lines):
                    self._dropped += self._plan.remove(span)
        self._release()
        self._promise()

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
            self._complain_disk("%s can't be written (%s): lines wait in memory", journal.folder, error.strerror)
        removed = journal.trim(self._carbon.journal_bytes, int(time.time()) - self._carbon.journal_seconds)
        if removed.start < removed.end:
            self._lose(Span(Position(0, 0), removed.end))

    def _release(self) -> None:
        """Let complete flushes be sent: they were synced just now, or the disk can't take them."""
        with self._lock:
            while self._committing:
                commit = self._committing.popleft()
                self._plan.commit(commit.end, connected=self._connection is not None)
                self._promised.append(commit)

    def _promise(self) -> None:
        """Note which flushes survive a crash."""
        with self._lock:
            safe = max(self._spool.synced, self._plan.waits_from())
            while self._promised and self._promised[0].end.offset <= safe.offset:
                self._durable = self._promised.popleft().stamp

    def _lose(self, span: Span) -> None:
        with self._lock:
            self._dropped += self._plan.remove(span)

    def _save_mark(self) -> None:
        journal = self._spool.journal
        if journal is None:
            return
        with self._lock:
            positions = self._plan.delivered(), self._plan.doubtful()
        delivered, doubtful = (min(position, journal.synced) for position in positions)
        if (delivered, doubtful) == self._saved:
            return
        try:
            journal.save_mark(Mark(delivered, doubtful, int(self._healthy or time.time())))
            self._saved = delivered, doubtful
        except OSError as error:
            self._complain_disk("%s: %s", journal.folder, error.strerror)

    # Connecting

    def _connect(self) -> None:
        """Have a connection, or begin to make one."""
        try:
            if self._connection is None:
                self._dial()
            elif error := ended(self._connection):
                self._broken(error)
        except (OSError, ValueError, OverflowError) as error:
            # What a host name that can't be looked up raises too.
            self._broken(error)

    def _dial(self) -> None:
        if self._dialing is None:
            if time.monotonic() < self._next_attempt and self._deadline is None:
                return
            self._dialing = Dialing(self._carbon.host, self._carbon.port)
        self._connection = self._dialing.turn()
        if self._connection is None:
            return
        self._dialing = None
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(_VANISHED_SECONDS * 1000))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _NOT_SENT_BYTES)
        self._total = self._acknowledged = 0
        self._connected_at, self._healthy = time.monotonic(), time.time()
        self.trouble = ""
        _log.info("connected to carbon at %s port %d", self._carbon.host, self._carbon.port)

    def _broken(self, error: Exception) -> None:
        """Close the connection, let wait again what may be lost with it, and try later."""
        self._disconnect()
        if self._healthy is not None:
            self._send_again(self._healthy)
            self._healthy = None
        host, port = self._carbon.host, self._carbon.port
        self.trouble = f"{host} port {port}: {error}"
        self._complain("carbon at %s port %d: %s; %d lines wait", host, port, error, self.queued())
        self._next_attempt = time.monotonic() + self._delay
        self._delay = min(self._delay * 2, _LONGEST_DELAY)
        self._gave_up = self._deadline is not None

    def _disconnect(self) -> None:
        for opened in (self._dialing, self._connection):
            if opened is not None:
                opened.close()
        self._dialing = self._connection = self._chunk = None
        with self._lock:
            self._sent -= self._plan.broken()

    def _send_again(self, alive: float) -> None:
        """Send again what a carbon may have lost that was last known alive then, in seconds since 1970."""
        since = alive - self._carbon.replay_seconds
        position = self._spool.position_at(math.floor(since))
        with self._lock:
            self._plan.send_again(since, position)

    # Sending

    def _send(self) -> None:
        """Send what the kernel takes of the chunk under way or of the next."""
        if self._connection is None:
            return
        if self._chunk is None:
            self._chunk = self._next_chunk()
        if self._chunk is None:
            return
        try:
            while self._chunk.rest:
                size = self._connection.send(self._chunk.rest)
                self._chunk.rest = self._chunk.rest[size:]
                self._total += size
                self._progress = time.monotonic()
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(error)
            return
        self._note_sent(self._chunk)
        self._chunk = None

    def _next_chunk(self) -> "_Chunk | None":
        """Read what is to be sent now, if anything may be."""
        if self._send_wait() != 0:
            return None
        with self._lock:
            upcoming = self._plan.next()
        if upcoming is None:
            return None
        record = self._spool.read(upcoming.span)
        found = record.span.start if record else upcoming.span.end
        if upcoming.span.start.offset < found.offset:
            # Damaged, or dropped before its flush was complete.
            self._lose(Span(upcoming.span.start, found))
        if record is None:
            return None
        self._progress = time.monotonic()
        if not upcoming.fresh:
            self._pace.spend(record.span.lines, self._progress)
        return _Chunk(record.span, upcoming.again, memoryview(record.payload))

    def _note_sent(self, chunk: "_Chunk") -> None:
        with self._lock:
            self._sent += self._plan.sent(
                chunk.span, again=chunk.again, total=self._total, now=time.monotonic(), wall=time.time()
            )
            if chunk.again:
                self._replayed += chunk.span.lines

    # Now and then

    def _check(self) -> None:
        """Look after what no event tells of."""
        if self._connection is not None:
            self._check_connection(self._connection)
        self._watch.turn()
        self._save_mark()

    def _check_connection(self, connection: socket.socket) -> None:
        now = time.monotonic()
        in_flight = _in_flight(connection)
        acknowledged = self._total - in_flight
        if acknowledged > self._acknowledged or not in_flight:
            self._healthy = time.time()
        elif self._chunk is not None and now - self._progress > _SEND_TIMEOUT:
            self._broken(TimeoutError(f"took nothing for {_SEND_TIMEOUT:.0f} s"))
            return
        self._acknowledged = acknowledged
        if now - self._connected_at > _KEEP_SECONDS:
            # A connection that lasts proves itself; one that carbon closes at once doesn't.
            self._delay = _FIRST_DELAY
        self._confirm(acknowledged, now - _KEEP_SECONDS)

    def _confirm(self, acknowledged: int, until: float) -> None:
        with self._lock:
            if self._plan.confirm(acknowledged, until) and self._in_memory():
                self._spool.keep(self._plan.needed(), self._plan.end)

    # The end

    def _finish(self) -> None:
        """End the connection so that carbon confirms it: it closes its side after it has read everything."""
        if self._connection is None or self._chunk is not None:
            return
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            # A timeout of 0 would mean non-blocking.
            self._connection.settimeout(max(0.01, (self._deadline or 0) - time.monotonic()))
            while self._connection.recv(4096):
                pass
            self._confirm(self._total, math.inf)

    def _end(self) -> None:
        self._disk_retry = 0.0
        self._take()
        self._store()
        self._save_mark()
        self._disconnect()
        self._watch.close()
        if self._spool.journal:
            self._spool.journal.close()


@dataclass(slots=True)
class _Chunk:
    """The record under way; `again`: it was delivered before; and what is left to send of it."""

    span: Span
    again: bool
    rest: memoryview


def _opened(carbon: Carbon) -> Journal | None:
    """Open the journal that the settings name, if there is one that can be used. Raises InUse."""
    if not carbon.journal:
        return None
    segment_bytes = min(_LARGEST_SEGMENT, carbon.journal_bytes // _SEGMENTS)
    try:
        return Journal(Path(carbon.journal), segment_bytes, max(1, carbon.journal_seconds // _SEGMENTS))
    except InUse:
        raise
    except OSError as error:
        _log.error("%s can't be used (%s): lines wait in memory, until a restart", carbon.journal, error.strerror)
        return None


def _planned(spool: Spool, replay_seconds: float) -> Plan:
    """Return the plan that begins with what an earlier process did not deliver."""
    mark = spool.journal.mark if spool.journal else None
    delivered, doubtful = (mark.delivered, mark.doubtful) if mark else (spool.first, spool.first)
    delivered, doubtful = max(spool.first, delivered), max(spool.first, doubtful)
    return Plan(spool.end, Span(delivered, spool.end), Span(doubtful, delivered), replay_seconds)


def _in_flight(connection: socket.socket) -> int:
    """Return how many bytes the other host has not acknowledged, see SIOCOUTQ in tcp(7)."""
    answer = fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4)
    return int.from_bytes(answer, sys.byteorder)
