"""The daemon: receives, keeps time, flushes, and hands over to its successor.

One thread does all of it, so that an interval ends between two datagrams; `sender` has its own. A
flush is cut into slices with receptions in between, so that many buckets don't fill the kernel's queue.
"""

import logging
import math
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

from graphing.core.config import ConfigError
from graphing.core.memory import return_memory
from graphing.core.systemd import notify, watchdog_period
from graphing.statsd.admin.console import Console
from graphing.statsd.admin.http import HttpDoor
from graphing.statsd.admin.key_flush import KeyFlush
from graphing.statsd.admin.view import ServerView
from graphing.statsd.engine.choice import AnyEngine, make_engine
from graphing.statsd.intake.intake import Intake
from graphing.statsd.intake.sockets import Sockets, console_listener, open_sockets, status_listener
from graphing.statsd.model.health import Counted
from graphing.statsd.model.lines import Form, IntervalFlush
from graphing.statsd.model.protocol import decode
from graphing.statsd.outward.flusher import Flusher
from graphing.statsd.outward.repeater import Repeater
from graphing.statsd.outward.sender import Sender
from graphing.statsd.settings import StatsdSettings, read_settings
from graphing.statsd.survival import state, succession

_TURN = 0.1
"""Seconds of reception between two looks at everything else; a clock that was set is noticed within this time."""
_FLUSH_PAUSE = 0.0005
"""Seconds of rest after each slice of a flush, so that the kernel doesn't take the processor away for longer,"""
_FLUSH_SHARE = 0.25
"""unless the flush takes more than this share of its interval."""
_SWITCH_SECONDS = 0.0005
_DRAIN_SECONDS = 5.0
_LINES_PER_PUT = 5_000

# What names a socket or a file can't change while it is in use.
_FIXED = {
    "statsd": ("listen", "port", "tcp", "unix_socket", "receive_buffer", "engine", "state_file", "datagram_log"),
    "carbon": ("journal",),
    "console": ("host", "port", "http_port"),
}

_log = logging.getLogger(__name__)


def main(settings: StatsdSettings, config: Path) -> int:
    """Run until SIGTERM or SIGINT, reading `config` again at SIGHUP; return the exit code."""
    return_memory()
    # The sender's thread must not hold the interpreter for longer than datagrams may wait.
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        engine = make_engine(settings.statsd.engine, settings.statsd.rules())
    except ImportError as error:
        _log.error('statsd.engine = "compiled", but its module can\'t be loaded: %s', error)
        return 1
    try:
        sockets = open_sockets(settings.statsd)
    except OSError as error:
        _log.error("can't receive: %s", error)
        return 1
    try:
        Server(settings, config, engine, sockets).run()
    except OSError as error:
        _log.error("%s", error)
        return 1
    finally:
        sockets.close()
    return 0


class Server:
    """One running aggregator. Raises OSError if it can't get what it needs."""

    def __init__(self, settings: StatsdSettings, config: Path, engine: AnyEngine, sockets: Sockets) -> None:
        self._settings = settings
        self._config = config
        self._naming = settings.statsd.naming()
        self._seconds = settings.statsd.interval
        self._interval_end = self._boundary_after(time.time())
        self._stopping = self._reloading = False
        self._watchdog = watchdog_period()
        self._next_watchdog = 0.0
        self._flushed_at: dict[int, int] = {}
        """Of each complete flush that may not be durable yet: its time, and how often the log had been compacted."""
        self._sender = Sender(settings.carbon)
        self._flusher = Flusher(self._sender)
        statsd = settings.statsd
        self._inherited = succession.find(statsd.state_file, statsd.datagram_log)
        self._log_key = self._inherited.key if self._inherited else ""
        log = succession.open_log(statsd.datagram_log, self._log_key)
        self._intake = Intake(engine, log, sockets, Counted())
        self._view = ServerView(settings, self._intake, self._flusher, self._sender, time.time())
        listener = console_listener(settings.console)
        self._console = Console(listener, self._view) if listener else None
        listener = status_listener(settings.console)
        self._door = HttpDoor(listener, self._view.status) if listener else None
        self._key_flush: KeyFlush | None = None
        self._repeater: Repeater | None = None
        self._make_taps()

    @property
    def _engine(self) -> AnyEngine:
        return self._intake.engine

    def run(self) -> None:
        """Serve until a signal, then save or flush what is in memory."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note_stop)
        signal.signal(signal.SIGHUP, self._note_reload)
        self._sender.start()
        self._take_over()
        _log.info("aggregating with the %s engine", self._engine.name)
        notify("READY=1")
        while not self._stopping:
            self._intake.receive(self._turn_seconds())
            self._keep_time()
            self._continue_flush()
            self._serve_others()
        self._hand_over()

    def _note_stop(self, *_: object) -> None:
        self._stopping = True

    def _note_reload(self, *_: object) -> None:
        self._reloading = True

    def _make_taps(self) -> None:
        """Let those see each reception whom the settings name: the log of busiest keys, the repeater, the dump."""
        settings = self._settings
        self._key_flush = KeyFlush(settings.key_flush) if settings.key_flush.interval else None
        self._repeater = Repeater(settings.repeater) if settings.repeater.servers else None
        taps: list[Callable[[memoryview], None]] = []
        if self._key_flush:
            taps.append(self._key_flush.count)
        if self._repeater:
            taps.append(self._repeater.send)
        if settings.statsd.dump_messages:
            taps.append(_dump)
        self._intake.taps = taps

    def _serve_others(self) -> None:
        """Serve all but the metrics."""
        for other in (self._console, self._door, self._key_flush, self._repeater):
            if other:
                other.turn()
        if self._watchdog and time.monotonic() >= self._next_watchdog:
            notify("WATCHDOG=1")
            self._next_watchdog = time.monotonic() + self._watchdog
        if self._reloading:
            self._reloading = False
            self._reload()

    # Time

    def _boundary_after(self, now: float) -> int:
        interval = self._settings.statsd.interval
        return (math.floor(now / interval) + 1) * interval

    def _turn_seconds(self) -> float:
        if self._flusher.busy:
            return _FLUSH_PAUSE if self._flusher.running < self._seconds * _FLUSH_SHARE else 0.0
        longest = min(_TURN, self._watchdog or _TURN)
        return max(0.0, min(longest, self._interval_end - time.time()))

    def _keep_time(self) -> None:
        """End the interval when its time has come; the wall clock decides, as it does for Graphite."""
        now = time.time()
        if now >= self._interval_end:
            # After a suspension several boundaries lie behind: the values belong to the first, and
            # the others had none.
            self._flusher.finish()
            self._intake.receive(0.0)
            self._end_interval(self._boundary_after(now))
        elif self._interval_end - now > self._seconds:
            # The clock was set back. Waiting for the old boundary could take hours.
            self._reschedule(self._boundary_after(now), self._seconds)

    def _reschedule(self, end: int, seconds: int) -> None:
        self._interval_end, self._seconds = end, seconds
        self._intake.log.reschedule(end, seconds)

    def _end_interval(self, next_end: int) -> None:
        """Begin the flush of the interval in progress, and the next interval."""
        self._view.update_counts()
        self._intake.compact_log()
        form = self._form(self._interval_end, self._seconds)
        flush = self._engine.begin_flush(form)
        self._flusher.begin(flush, form, self._intake.counted)
        self._view.end_interval()
        self._intake.counted = Counted()
        self._interval_end, self._seconds = next_end, self._settings.statsd.interval
        self._intake.log.end_interval(self._interval_end, self._seconds)

    def _form(self, stamp: int, seconds: int) -> Form:
        statsd = self._settings.statsd
        return Form(self._naming, statsd.percentiles, statsd.histograms, seconds, stamp)

    # Flushing

    def _continue_flush(self) -> None:
        """Go on with the flush, and forget in the log what is on disk."""
        if self._flusher.busy:
            self._flusher.turn()
            if not self._flusher.busy:
                self._flushed_at[self._flusher.last_flush] = self._intake.compactions
        if not self._flushed_at:
            return
        durable = self._sender.durable()
        # What the flush left for the next interval is in the log's files once it is compacted again.
        done = [end for end, count in self._flushed_at.items() if end <= durable and self._intake.compactions > count]
        if done:
            self._intake.log.flushed(max(done))
            self._flushed_at = {end: count for end, count in self._flushed_at.items() if end not in done}

    # Reloading

    def _reload(self) -> None:
        """Read the configuration again; a bad one changes nothing. The interval in progress goes on."""
        try:
            settings = read_settings(self._config)
        except ConfigError as error:
            _log.error("not reloaded:\n%s", error)
            return
        for table, names in _FIXED.items():
            old, new = getattr(self._settings, table), getattr(settings, table)
            for name in names:
                if getattr(old, name) != getattr(new, name):
                    _log.warning("%s.%s needs a restart to change", table, name)
        self._settings = self._view.settings = settings
        self._naming = settings.statsd.naming()
        self._flusher.finish()
        self._engine.configure(settings.statsd.rules())
        self._sender.reconfigure(settings.carbon)
        next_end = self._boundary_after(time.time())
        if next_end < self._interval_end:
            self._reschedule(next_end, next_end - (self._interval_end - self._seconds))
        if self._repeater:
            self._repeater.close()
        self._make_taps()
        _log.info("reloaded %s", self._config)

    # Succession

    def _take_over(self) -> None:
        """Go on where an earlier process stopped or died; after this, the new log holds what it left."""
        inherited, intake = self._inherited, self._intake
        if inherited:
            self._put_lines(inherited.unsent)
            for ended in inherited.ended:
                form = self._form(ended.end, ended.seconds)
                self._flusher.begin(IntervalFlush(ended.interval, form), form, _counted(ended.counted))
                self._flusher.finish()
                self._engine.restore(ended.interval.successor(self._settings.statsd.rules().forget))
            self._engine.restore(inherited.interval)
            self._engine.feed(inherited.lines)
            intake.counted = _counted(inherited.counted)
            intake.counted.packets += inherited.packets
            intake.counted.resumed += inherited.packets
            intake.resume_drops(inherited.kernel_drops)
            if inherited.end:
                self._interval_end, self._seconds = inherited.end, inherited.seconds
        intake.log.begin(self._interval_end, self._seconds)
        intake.compact_log()
        intake.log.publish()
        succession.settle(self._settings.statsd.state_file)
        if inherited:
            _log.info("took over %d buckets", len(self._engine))
            self._inherited = None
        if self._interval_end <= time.time():
            # Before anything is received, which would be too late for it.
            self._end_interval(self._boundary_after(time.time()))

    def _put_lines(self, lines: list[str]) -> None:
        for start in range(0, len(lines), _LINES_PER_PUT):
            some = lines[start : start + _LINES_PER_PUT]
            self._sender.put("".join(some).encode("ascii"), len(some), int(some[-1].rsplit(" ", 1)[1]))
        if lines:
            self._sender.commit()

    def _hand_over(self) -> None:
        """Lose nothing: to the state file if there is one, otherwise to carbon before the interval's end."""
        notify("STOPPING=1")
        for other in (self._console, self._door, self._repeater, self._intake):
            if other:
                other.close()
        self._flusher.finish()
        saved = self._save(self._sender.unconfirmed())
        if not saved:
            self._end_interval(self._boundary_after(time.time()))
            self._flusher.finish()
        left = self._sender.close(_DRAIN_SECONDS)
        if saved:
            saved = self._save(left)
        elif left:
            _log.error("%d lines could not be sent to carbon and are lost", len(left))
        if saved or not left:
            self._intake.log.remove()

    def _save(self, lines: list[str]) -> bool:
        """Write the state file; return False if there is none or it can't be written."""
        statsd = self._settings.statsd
        if not statsd.state_file:
            return False
        self._view.update_counts()
        try:
            state.save(
                Path(statsd.state_file),
                state.SavedState(
                    interval_end=self._interval_end,
                    seconds=self._seconds,
                    interval=self._engine.interval(),
                    counted=asdict(self._intake.counted),
                    kernel_drops=self._intake.kernel_drops,
                    lines=lines,
                ),
            )
        except OSError as error:
            _log.error("%s can't be written (%s): flushing at once", statsd.state_file, error.strerror)
            return False
        return True


def _counted(found: dict[str, int]) -> Counted:
    known = {item.name for item in fields(Counted)}
    return Counted(**{name: value for name, value in found.items() if name in known})


def _dump(lines: memoryview) -> None:
    """Log every line, without what could deceive a terminal."""
    for line in decode(lines).split("\n"):
        if line:
            _log.info("message %s", ascii(line))
