"""The daemon: receives, keeps time, flushes, and hands over to its successor.

One thread does all of it, so that an interval ends between two datagrams; `sender` has its own. A
flush is cut into slices with receptions in between, so that many buckets don't fill the kernel's queue.
"""

import itertools
import logging
import math
import select
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from graphing.line import format_line
from graphing.log import RateLimitedLog
from graphing.statsd import state
from graphing.statsd.aggregate import Engine, Fed, Interval
from graphing.statsd.flush import measurements
from graphing.statsd.health import Counted, Levels, health, resident_bytes
from graphing.statsd.protocol import decode
from graphing.statsd.sender import Sender
from graphing.statsd.settings import Settings
from graphing.statsd.sockets import kernel_drops, open_sockets
from graphing.systemd import notify, watchdog_period

_LARGEST_DATAGRAM = 65_535
_DATAGRAMS_PER_TURN = 1_000
_LINES_PER_TURN = 500
_LONGEST_WAIT = 1.0
"""Seconds; a clock that was set is noticed within this time."""
_DRAIN_SECONDS = 5.0
_SHOWN = 200
"""Characters of a bad line in the log."""

_log = logging.getLogger(__name__)


def main(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        sockets = open_sockets(settings.statsd)
    except OSError as error:
        _log.error("can't receive on %s port %d: %s", settings.statsd.listen, settings.statsd.port, error)
        return 1
    Server(settings, sockets).run()
    return 0


class Server:
    """One running aggregator."""

    def __init__(self, settings: Settings, sockets: list[socket.socket]) -> None:
        self._settings = settings.statsd
        self._naming = settings.statsd.naming()
        self._engine = Engine(settings.statsd.rules())
        self._sender = Sender(settings.carbon)
        self._counted = Counted()
        self._kernel_drops = 0
        self._buffer = memoryview(bytearray(_LARGEST_DATAGRAM))
        self._log_bad = RateLimitedLog(_log, logging.WARNING, 1.0)
        self._log_conflict = RateLimitedLog(_log, logging.WARNING, 60.0)
        self._stopping = False
        self._interval_end = self._boundary_after(time.time())
        self._flushing: Iterator[tuple[str, float]] = iter(())
        self._flushing_stamp = 0
        self._is_flushing = False
        self._flush_began = 0.0
        self._flush_duration = 0.0
        self._sockets = {usable.fileno(): usable for usable in sockets}
        self._watchdog = watchdog_period()
        self._next_watchdog = 0.0

    def run(self) -> None:
        """Serve until a signal, then save or flush what is in memory."""
        wake = self._catch_signals()
        poll = select.poll()
        for fd in (wake.fileno(), *self._sockets):
            poll.register(fd, select.POLLIN)
        self._sender.start()
        self._take_over()
        notify("READY=1")
        while not self._stopping:
            for fd, _ in poll.poll(self._wait_ms()):
                if fd in self._sockets:
                    self._receive(self._sockets[fd])
            self._keep_time()
            self._continue_flush()
        self._hand_over()

    def _catch_signals(self) -> socket.socket:
        """Return a socket that becomes readable on a signal, so that a waiting poll ends."""
        wake, woken = socket.socketpair()
        wake.setblocking(False)
        woken.setblocking(False)
        # The interpreter keeps only the number: detach, or collecting the object closes it.
        signal.set_wakeup_fd(woken.detach(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "_stopping", True))
        return wake

    # Receiving

    def _receive(self, source: socket.socket) -> None:
        """Feed what waits in a socket to the engine, up to a turn's worth."""
        for _ in range(_DATAGRAMS_PER_TURN):
            try:
                size, sender = source.recvfrom_into(self._buffer)
            except BlockingIOError:
                return
            except OSError as error:
                self._log_bad("receiving failed: %s", error)
                return
            self._counted.packets += 1
            fed = self._engine.feed(decode(self._buffer[:size]))
            self._counted.metrics += fed.metrics
            if fed.bad or fed.conflicts:
                self._refuse(fed, sender)

    def _refuse(self, fed: Fed, sender: tuple[str, int]) -> None:
        self._counted.bad_lines += len(fed.bad)
        self._counted.type_conflicts += len(fed.conflicts)
        for bad in fed.bad:
            self._log_bad("bad line from %s port %d: %s: %.*r", *sender[:2], bad.reason, _SHOWN, bad.line)
        for conflict in fed.conflicts:
            self._log_conflict("bucket %s from %s port %d: %s", conflict.bucket, *sender[:2], conflict.reason)

    # Time

    def _boundary_after(self, now: float) -> int:
        return (math.floor(now / self._settings.interval) + 1) * self._settings.interval

    def _wait_ms(self) -> int:
        if self._is_flushing:
            return 0
        longest = min(_LONGEST_WAIT, self._watchdog or _LONGEST_WAIT)
        return math.ceil(1000 * max(0.0, min(longest, self._interval_end - time.time())))

    def _keep_time(self) -> None:
        """End the interval when its time has come; the wall clock decides, as it does for Graphite."""
        now = time.time()
        if now >= self._interval_end:
            # After a suspension several boundaries lie behind: the values belong to the first, and
            # the others had none.
            self._finish_flush()
            self._begin_flush(self._engine.take(), self._interval_end, self._settings.interval)
            self._interval_end = self._boundary_after(now)
        elif self._interval_end - now > self._settings.interval:
            # The clock was set back. Waiting for the old boundary could take hours.
            self._interval_end = self._boundary_after(now)
        if self._watchdog and time.monotonic() >= self._next_watchdog:
            notify("WATCHDOG=1")
            self._next_watchdog = time.monotonic() + self._watchdog

    # Flushing

    def _begin_flush(self, interval: Interval, stamp: int, seconds: int) -> None:
        self._flush_began = time.monotonic()
        self._is_flushing = True
        self._flushing_stamp = stamp
        self._update_counts()
        levels = Levels(
            buckets=len(interval),
            lag=round(max(0.0, time.time() - stamp), 6),
            flush_duration=round(self._flush_duration, 6),
            memory_rss=resident_bytes(),
            lines_queued=self._sender.queued(),
        )
        self._flushing = itertools.chain(
            measurements(interval, self._naming, self._settings.percentiles, seconds),
            health(self._naming, seconds, self._counted, levels),
        )
        self._counted = Counted()

    def _continue_flush(self) -> None:
        """Hand a slice of the flush to the sender."""
        if not self._is_flushing:
            return
        pairs = list(itertools.islice(self._flushing, _LINES_PER_TURN))
        lines = [format_line(*pair, self._flushing_stamp) for pair in pairs if math.isfinite(pair[1])]
        self._counted.lines_not_finite += len(pairs) - len(lines)
        self._sender.put(lines)
        if len(pairs) < _LINES_PER_TURN:
            self._is_flushing = False
            self._flush_duration = time.monotonic() - self._flush_began

    def _finish_flush(self) -> None:
        while self._is_flushing:
            self._continue_flush()

    def _update_counts(self) -> None:
        sent, dropped = self._sender.take_counts()
        self._counted.lines_sent += sent
        self._counted.lines_dropped += dropped
        drops = kernel_drops(list(self._sockets.values()))
        # Fewer than before: it is another socket than the one of the saved state.
        self._counted.kernel_drops += drops - self._kernel_drops if drops >= self._kernel_drops else drops
        self._kernel_drops = drops

    # Succession

    def _take_over(self) -> None:
        """Go on where an earlier process stopped."""
        path = Path(self._settings.state_file)
        saved = state.load(path) if self._settings.state_file else None
        if saved is None:
            return
        for start in range(0, len(saved.lines), _LINES_PER_TURN):
            self._sender.put(saved.lines[start : start + _LINES_PER_TURN])
        for conflict in self._engine.restore(saved.interval):
            self._counted.type_conflicts += 1
            self._log_conflict("bucket %s from %s: %s", conflict.bucket, path, conflict.reason)
        for name in asdict(self._counted).keys() & saved.counted.keys():
            setattr(self._counted, name, getattr(self._counted, name) + saved.counted[name])
        self._kernel_drops = saved.kernel_drops
        if saved.interval_end <= time.time():
            self._begin_flush(self._engine.take(), saved.interval_end, saved.seconds)
            self._finish_flush()
        try:
            path.unlink()
        except OSError as error:
            _log.error("%s can't be removed (%s): the next start will count it again", path, error.strerror)
        _log.info("took over %d buckets and %d lines from %s", len(self._engine.now), len(saved.lines), path)

    def _hand_over(self) -> None:
        """Lose nothing: to the state file if there is one, otherwise to carbon before the interval's end."""
        notify("STOPPING=1")
        self._finish_flush()
        saved = self._save(self._sender.unconfirmed())
        if not saved:
            self._begin_flush(self._engine.take(), self._interval_end, self._settings.interval)
            self._finish_flush()
        left = self._sender.close(_DRAIN_SECONDS)
        if saved:
            self._save(left)
        elif left:
            _log.error("%d lines could not be sent to carbon and are lost", len(left))

    def _save(self, lines: list[str]) -> bool:
        """Write the state file; return False if there is none or it can't be written."""
        if not self._settings.state_file:
            return False
        self._update_counts()
        try:
            state.save(
                Path(self._settings.state_file),
                state.State(
                    interval_end=self._interval_end,
                    seconds=self._settings.interval,
                    interval=self._engine.now,
                    counted=asdict(self._counted),
                    kernel_drops=self._kernel_drops,
                    lines=lines,
                ),
            )
        except OSError as error:
            _log.error("%s can't be written (%s): flushing at once", self._settings.state_file, error.strerror)
            return False
        return True
