"""The loop of `graphing watchdog`: look, decide, write the state, log and tell what has changed."""

import logging
import signal
import threading
import time

from graphing.checks.canary import Sighting
from graphing.checks.lookout import Lookout
from graphing.checks.settings import CheckSettings
from graphing.checks.verdict import State, Verdict
from graphing.core.config import ConfigError
from graphing.core.log import RateLimitedLog
from graphing.core.systemd import notify
from graphing.watchdog import state
from graphing.watchdog.alarms import Alarm, Alarms
from graphing.watchdog.notify import Notifier

_log = logging.getLogger(__name__)


def main(settings: CheckSettings) -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        watchdog = Watchdog(settings)
    except ConfigError as error:
        _log.error("%s", error)
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    notify("READY=1")
    _log.info("looking every %g s", settings.watchdog.interval)
    following = time.monotonic()
    while not stop.is_set():
        watchdog.look()
        notify("WATCHDOG=1")
        # After a look that took long, the next one is not hurried.
        following = max(following + settings.watchdog.interval, time.monotonic())
        stop.wait(following - time.monotonic())
    return 0


class Watchdog:
    """What is remembered from look to look. Raises ConfigError if the aggregator's settings can't be used."""

    def __init__(self, settings: CheckSettings) -> None:
        self._settings = settings.watchdog
        self._lookout = Lookout(settings)
        self._began = time.monotonic()
        # What is on already is not told again by the next process.
        saved = state.read(self._settings.state_file)
        self._alarms = Alarms(saved.alarms if saved else ())
        self._notifier = Notifier(self._settings.command, self._settings.webhook)
        self._complain = RateLimitedLog(_log, logging.ERROR, 3600.0)

    def look(self) -> None:
        """Look once."""
        now = round(time.time(), 3)
        self._lookout.send(now)
        sightings = self._lookout.sightings(now - self._settings.canary_seconds, now)
        verdicts = self._patient(self._lookout.judge(sightings, time.time()), sightings)
        if time.monotonic() - self._began >= self._settings.grace:
            for alarm in self._alarms.look(verdicts, now):
                self._tell(alarm)
        try:
            state.write(self._settings.state_file, now, self._settings.interval, self._alarms.by_check.values())
        except OSError as error:
            self._complain("%s can't be written: %s", self._settings.state_file, error.strerror)

    def _patient(self, verdicts: list[Verdict], sightings: list[Sighting]) -> list[Verdict]:
        """Say nothing of canaries before the first of ours has had its time."""
        early = time.monotonic() - self._began < self._settings.canary_seconds + self._lookout.interval
        if not early:
            return verdicts
        waiting = {sight.check for sight in sightings}
        return [
            verdict._replace(state=State.UNKNOWN, what="too early to tell", remedy="")
            if verdict.check in waiting
            else verdict
            for verdict in verdicts
        ]

    def _tell(self, alarm: Alarm) -> None:
        if alarm.on:
            level = logging.ERROR if alarm.state is State.FAIL else logging.WARNING
            _log.log(level, "ALARM %s: %s -> %s", alarm.check, alarm.what, alarm.remedy)
        else:
            _log.warning("well again: %s: %s", alarm.check, alarm.what)
        self._notifier.tell(alarm)
