"""Lines to carbon over TCP, in a thread of its own, so that a slow carbon or disk never delays reception.

Carbon acknowledges nothing: what it had not written is gone when its process ends. So the lines of a flush go to
the journal on disk first, and only then to carbon; what may not have arrived is sent again. Whisper holds one value
per slot, so what arrives twice does no harm.

`Shelf` keeps the lines, `Connection` moves them, `Watch` tells when a carbon-cache has restarted; this is their thread.
"""

import contextlib
import logging
import math
import os
import select
import threading
import time

from graphing.core.log import RateLimitedLog
from graphing.durable.delivery import Pace
from graphing.durable.shelf import QUEUE_LINES, Limits, Shelf, ShelfCounts, open_journal
from graphing.statsd.outward.connection import Connection, Timing
from graphing.statsd.outward.watch import Watch
from graphing.statsd.settings import CarbonSection

_log = logging.getLogger(__name__)


class Sender:
    """The lines on their way and the thread that stores and sends them."""

    def __init__(self, carbon: CarbonSection, queue_lines: int = QUEUE_LINES, timing: Timing | None = None) -> None:
        """Open the journal; without one, or if it can't be used, lines wait in memory.

        At most `queue_lines` wait there. Raises InUse if another process has the journal.
        """
        self._carbon = carbon
        self._timing = timing or Timing()
        self._complain = RateLimitedLog(_log, logging.WARNING, 1.0)
        limits = _limits(carbon)
        self._shelf = Shelf(open_journal(carbon.journal, limits), limits, queue_lines)
        # Guarded by _lock: what other threads ask for.
        self._lock = threading.Lock()
        self._deadline: float | None = None
        self._reconfigured: CarbonSection | None = None
        # Used by the thread only.
        self._connection = Connection(carbon.host, carbon.port, self._timing)
        self._pace = Pace(carbon.replay_rate)
        self._next_check = 0.0
        self._gave_up = False
        # Never closed: `put` may be called as long as the process lives.
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._watch = Watch(carbon.watch, self._shelf.send_again)
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    # What other threads call

    @property
    def trouble(self) -> str:
        """Why there is no connection to carbon; empty while there is one, and before the first attempt."""
        return self._connection.trouble

    def start(self) -> None:
        """Begin to store and to send."""
        self._thread.start()

    def put(self, lines: bytes, count: int, stamp: int) -> None:
        """Take `count` whole lines, each with its newline, of the flush at `stamp`. Never waits, does no I/O.

        Beyond `queue_lines` that the thread has not drained yet, the oldest go and are counted.
        """
        if count and self._shelf.put(lines, count, stamp):
            os.eventfd_write(self._wake, 1)

    def commit(self) -> None:
        """Note that the flush is complete: it is synced and then sent. Never waits, does no I/O."""
        self._shelf.commit()
        os.eventfd_write(self._wake, 1)

    def durable(self) -> int:
        """Return the stamp of the newest committed flush that survives a crash, or 0."""
        return self._shelf.durable()

    def queued(self) -> int:
        """Return how many lines were put and neither sent nor dropped."""
        return self._shelf.queued()

    def collect_counts(self) -> ShelfCounts:
        """Return how many lines were sent, dropped, and sent again after delivery, since the last call."""
        return self._shelf.collect_counts()

    def journal_bytes(self) -> int:
        """Return how many bytes the journal's segments hold."""
        return self._shelf.journal_bytes()

    def unconfirmed(self) -> list[str]:
        """Return every line that carbon may not have and that is not safely on disk, oldest first."""
        return self._shelf.unconfirmed()

    def reconfigure(self, carbon: CarbonSection) -> None:
        """Use other settings from now on. The journal's folder stays what it was."""
        with self._lock:
            self._reconfigured = carbon
        os.eventfd_write(self._wake, 1)

    def close(self, seconds: float) -> list[str]:
        """Commit, and try for at most `seconds` to send what is fresh or only in memory; end the thread.

        Returns the lines that carbon may not have and that are not on disk. The journal is closed.
        """
        self._shelf.commit()
        with self._lock:
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
            self._shelf.drain_inbox()
            self._shelf.store(connected=self._connection.is_open)
            self._connect()
            self._send()
            if time.monotonic() >= self._next_check:
                self._next_check = time.monotonic() + self._timing.check
                self._check()
        self._finish()
        self._end()

    def _is_done(self) -> bool:
        with self._lock:
            deadline = self._deadline
        if deadline is None or not self._shelf.is_drained():
            return False
        if time.monotonic() >= deadline or self._gave_up:
            return True
        return not self._shelf.has_to_send() and self._connection.chunk is None

    def _wait(self) -> None:
        """Sleep until there is something to do, at most until the next check."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        ends = [self._next_check] if self._deadline is None else [self._next_check, self._deadline]
        seconds = max(0.0, min(ends) - time.monotonic())
        send_wait = self._send_wait() if self._connection.is_open else None
        if send_wait:
            seconds = min(seconds, send_wait)
        redial_wait = self._connection.register(poll, wants_to_send=send_wait == 0)
        if redial_wait is not None:
            seconds = min(seconds, redial_wait)
        poll.poll(seconds * 1000 + 1)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def _send_wait(self) -> float | None:
        """Return for how many seconds nothing may be sent; None: there is nothing."""
        if self._connection.chunk is not None:
            return 0
        upcoming = self._shelf.next()
        if upcoming is None:
            return None
        return 0 if upcoming.fresh or self._hurries() else self._pace.wait(time.monotonic())

    def _hurries(self) -> bool:
        return self._deadline is not None and self._shelf.is_in_memory

    def _apply_settings(self) -> None:
        with self._lock:
            carbon, self._reconfigured = self._reconfigured, None
        if carbon is None:
            return
        before, self._carbon = self._carbon, carbon
        if carbon.journal != before.journal:
            _log.warning("carbon.journal needs a restart: still %s", before.journal or "in memory")
        self._pace = Pace(carbon.replay_rate)
        self._shelf.set_limits(_limits(carbon))
        if carbon.watch != before.watch:
            self._watch.close()
            self._watch = Watch(carbon.watch, self._shelf.send_again)
        if (carbon.host, carbon.port) != (before.host, before.port):
            self._connection.set_address(carbon.host, carbon.port)
            self._shelf.note_broken_connection()

    def _connect(self) -> None:
        """Have a connection, or begin to make one."""
        try:
            self._connection.maintain(at_once=self._deadline is not None)
        except (OSError, ValueError, OverflowError) as error:
            self._lose_connection(error)

    def _lose_connection(self, error: Exception) -> None:
        """Let wait again what may be lost with the connection, and try another later."""
        alive = self._connection.give_up(error)
        self._shelf.note_broken_connection()
        if alive is not None:
            self._shelf.send_again(alive)
        self._complain("carbon at %s; %d lines wait", self.trouble, self.queued())
        self._gave_up = self._deadline is not None

    def _send(self) -> None:
        """Send what the kernel takes of the record under way or of the next."""
        if not self._connection.is_open:
            return
        if self._connection.chunk is None:
            self._load_next()
        try:
            sent = self._connection.push()
        except OSError as error:
            self._lose_connection(error)
            return
        if sent:
            self._shelf.note_sent(sent.span, again=sent.again, total=self._connection.total)

    def _load_next(self) -> None:
        """Read what is to be sent now, if anything may be."""
        if self._send_wait() != 0:
            return
        upcoming = self._shelf.next()
        record = self._shelf.read(upcoming) if upcoming else None
        if upcoming is None or record is None:
            return
        if not upcoming.fresh:
            self._pace.spend(record.span.lines, time.monotonic())
        self._connection.load(record, again=upcoming.again)

    def _check(self) -> None:
        """Look after what no event tells of."""
        try:
            if self._connection.is_open:
                self._connection.check()
                self._shelf.confirm(self._connection.acknowledged, self._connection.settled_before())
        except OSError as error:
            self._lose_connection(error)
        self._watch.turn()
        self._shelf.save_mark(self._connection.healthy)

    def _finish(self) -> None:
        """Have carbon confirm what it was sent."""
        if self._connection.finish((self._deadline or 0) - time.monotonic()):
            self._shelf.confirm(self._connection.total, math.inf)

    def _end(self) -> None:
        self._shelf.drain_inbox()
        self._shelf.store(connected=self._connection.is_open, retry_disk=True)
        self._shelf.save_mark(self._connection.healthy)
        self._connection.close()
        self._shelf.note_broken_connection()
        self._watch.close()
        self._shelf.close()


def _limits(carbon: CarbonSection) -> Limits:
    return Limits(carbon.journal_bytes, carbon.journal_seconds, carbon.replay_seconds)
