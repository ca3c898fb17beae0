"""Everything that comes in: from the sockets through the log into the engine, with a copy for whoever looks on."""

import logging
import socket
import time
from collections.abc import Callable
from dataclasses import asdict

from graphing.core.log import RateLimitedLog
from graphing.statsd.engine.choice import AnyEngine
from graphing.statsd.intake.refusals import Refusals
from graphing.statsd.intake.sockets import Sockets, kernel_drops
from graphing.statsd.intake.streams import Streams
from graphing.statsd.model.health import Counted
from graphing.statsd.model.partial import counted_record
from graphing.statsd.model.reference import Reason
from graphing.statsd.survival.datagram_log import COMPACT_AT, LAYOUT, DatagramLog

_COMPACTION_SECONDS = 1.0
_SHOWN = 200
"""Characters of a bad line in the log."""

_log = logging.getLogger(__name__)


class Intake:
    """Receives, and keeps the log so that a crash loses nothing that was received."""

    def __init__(self, engine: AnyEngine, log: DatagramLog, sockets: Sockets, counted: Counted) -> None:
        self.engine = engine
        self.log = log
        self.counted = counted
        self.refusals = Refusals()
        self.compactions = 0
        self.last_received = 0.0
        """When a datagram or line came last, in seconds since 1970; 0 for never."""
        self.taps: list[Callable[[memoryview], None]] = []
        """Called with the newline-joined lines of each reception; they must not be kept."""
        self._datagram_sockets: list[socket.socket] = sockets.datagram
        self._fds = [usable.fileno() for usable in sockets.datagram]
        self._streams = Streams(sockets.stream)
        self._kernel_drops = 0
        self._receiver = engine.receiver(log.memory)
        self._receiver.begin(log.generation)
        self._lines = memoryview(log.memory)[LAYOUT["log"] :]
        self._next_compaction = 0.0
        self._compaction_trouble = ""
        self._log_bad = RateLimitedLog(_log, logging.WARNING, 1.0)
        self._log_refused = {reason: RateLimitedLog(_log, logging.WARNING, 60.0) for reason in Reason}
        self._log_unprotected = RateLimitedLog(_log, logging.ERROR, 60.0)

    def receive(self, seconds: float) -> None:
        """Take in what comes for `seconds`, at least what has come already."""
        self._receive_datagrams(seconds)
        for lines, _ in self._streams.turn():
            self.add(lines)
        self.count()
        now = time.monotonic()
        due = now >= self._next_compaction and (self._receiver.used or self.engine.has_changes)
        if due or self._receiver.used >= COMPACT_AT or self.engine.wants_compaction:
            # What has queued meanwhile must not wait for that too.
            self._receive_datagrams(0.0)
            self.compact_log()

    def _receive_datagrams(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            start = self._receiver.used
            full = self._receiver.receive(self._fds, max(0.0, end - time.monotonic()))
            self._show(start)
            if full:
                self.compact_log()
            if not full or time.monotonic() >= end:
                break

    def add(self, lines: bytes) -> None:
        """Take in lines that no socket of ours gave."""
        start = self._receiver.used
        if not self._receiver.add(lines):
            self.compact_log()
            start = self._receiver.used
            self._receiver.add(lines)
        self._show(start)

    def _show(self, start: int) -> None:
        end = self._receiver.used
        if end == start:
            return
        self.last_received = time.time()
        for tap in self.taps:
            tap(self._lines[start : end - 1])

    def compact_log(self) -> None:
        """Replace the log by what it adds up to."""
        self.count()
        records = self.engine.serialize_changes() + counted_record(asdict(self.counted), self._kernel_drops)
        self._compaction_trouble = ""
        try:
            self.log.compact(records)
        except OSError as error:
            self._compaction_trouble = f"the log of datagrams can't be compacted ({error.strerror})"
            self._log_unprotected("%s: a crash now would lose what came before", self._compaction_trouble)
        self._receiver.begin(self.log.generation)
        self._next_compaction = time.monotonic() + _COMPACTION_SECONDS
        self.compactions += 1

    @property
    def unprotected(self) -> str:
        """Why a crash of this process would lose what it has received; empty as long as it would not."""
        return self.log.trouble or self._compaction_trouble

    def count(self) -> None:
        """Bring the counts up to date."""
        counted, outcome = self.counted, self.engine.collect_outcome()
        packets, truncated = self._receiver.collect_packets()
        nameless = truncated + self._streams.bad
        counted.packets += packets
        counted.metrics += outcome.metrics
        counted.bad_lines += outcome.bad_lines + nameless
        counted.type_conflicts += outcome.type_conflicts
        counted.refused += outcome.refused
        self._streams.bad = 0
        self.refusals.note(outcome, nameless)
        for complaint in outcome.complaints:
            sender = f" from {complaint.sender}" if complaint.sender else ""
            if complaint.reason is Reason.BAD:
                self._log_bad("bad line%s: %s: %.*r", sender, complaint.text, _SHOWN, complaint.subject)
            else:
                bucket = complaint.subject or "new"
                self._log_refused[complaint.reason]("bucket %.*s%s: %s", _SHOWN, bucket, sender, complaint.text)

    def count_drops(self) -> None:
        """Bring the count of datagrams that the kernel dropped up to date."""
        drops = kernel_drops(self._datagram_sockets)
        # Fewer than before: it is another socket than the one of the saved state.
        self.counted.kernel_drops += drops - self._kernel_drops if drops >= self._kernel_drops else drops
        self._kernel_drops = drops

    def resume_drops(self, drops: int) -> None:
        """Say what an earlier process had counted on the same sockets."""
        self._kernel_drops = drops

    @property
    def kernel_drops(self) -> int:
        """What the kernel's counter showed last."""
        return self._kernel_drops

    def close(self) -> None:
        """Close the streams."""
        self._streams.close()
