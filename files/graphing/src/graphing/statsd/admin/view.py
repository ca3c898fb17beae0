"""What the management ports may ask and do: the console, see `commands.View`, and the page of health."""

import time
from collections.abc import Iterable
from dataclasses import asdict, astuple
from typing import Any

from graphing.statsd.admin.status import Status
from graphing.statsd.engine.choice import AnyEngine
from graphing.statsd.intake.intake import Intake
from graphing.statsd.model.health import Counted
from graphing.statsd.model.protocol import Kind
from graphing.statsd.model.reference import Interval
from graphing.statsd.outward.flusher import Flusher
from graphing.statsd.outward.sender import Sender
from graphing.statsd.settings import StatsdSettings

_COPY_SECONDS = 0.2
"""How old the shown interval may be: copying many buckets takes long."""


class ServerView:
    """A running aggregator, as the console sees it."""

    def __init__(
        self, settings: StatsdSettings, intake: Intake, flusher: Flusher, sender: Sender, started: float
    ) -> None:
        self.settings = settings
        self.health = "up"
        self._before = Counted()
        """What past intervals came to since the start."""
        self._intake = intake
        self._flusher = flusher
        self._sender = sender
        self._started = started
        self._copy = Interval()
        self._copied = 0.0

    @property
    def _engine(self) -> AnyEngine:
        return self._intake.engine

    def update_counts(self) -> None:
        """Bring the counts of the interval in progress up to date."""
        self._intake.count()
        self._intake.count_drops()
        counted = self._intake.counted
        sent, dropped, replayed = self._sender.collect_counts()
        counted.lines_sent += sent
        counted.lines_dropped += dropped
        counted.lines_replayed += replayed

    def end_interval(self) -> None:
        """Remember the counts of the interval that ends."""
        self._before = self._totals()

    def _totals(self) -> Counted:
        return Counted(*(a + b for a, b in zip(astuple(self._before), astuple(self._intake.counted), strict=True)))

    def _interval(self) -> Interval:
        """Return the interval in progress, a moment old: one command may ask for it several times."""
        now = time.monotonic()
        if now - self._copied > _COPY_SECONDS:
            self._copy, self._copied = self._engine.interval(), now
        return self._copy

    def counters(self) -> dict[str, float]:
        """Return the counters of the interval in progress."""
        return self._interval().counters

    def timers(self) -> dict[str, list[float]]:
        """Return the timers of the interval in progress."""
        return self._interval().timers

    def gauges(self) -> dict[str, float]:
        """Return the gauges."""
        return self._interval().gauges

    def sets(self) -> dict[str, set[str]]:
        """Return the sets of the interval in progress."""
        return self._interval().sets

    def delete(self, kind: Kind, bucket: str) -> bool:
        """Forget a bucket; return whether there was one."""
        self._copied = 0.0
        # The interval that is being flushed still has it.
        self._flusher.finish()
        return self._engine.delete(kind, bucket)

    def stats(self) -> Iterable[tuple[str, str]]:
        """Return names and values, etsy/statsd's first."""
        now = time.time()
        counted = self._intake.counted
        yield "uptime", str(int(now - self._started))
        yield "messages.last_msg_seen", str(int(now - (self._intake.last_received or self._started)))
        yield "messages.bad_lines_seen", str(self._totals().bad_lines)
        yield "graphite.last_flush", str(int(now - (self._flusher.last_flush or self._started)))
        yield "graphite.flush_time", str(round(self._flusher.duration * 1000))
        yield "graphite.lines_queued", str(self._sender.queued())
        yield "graphite.journal_bytes", str(self._sender.journal_bytes())
        yield "engine.compiled", str(int(self._engine.name == "compiled"))
        for name, value in asdict(counted).items():
            yield f"interval.{name}", str(value)

    def status(self) -> Status:
        """Return how things stand, for the page of health."""
        self.update_counts()
        now = time.time()
        return Status(
            engine=self._engine.name,
            uptime=now - self._started,
            interval=self.settings.statsd.interval,
            health=self.health,
            totals=self._totals(),
            since_received=now - self._intake.last_received if self._intake.last_received else None,
            since_flush=now - (self._flusher.last_flush or self._started),
            flush_duration=self._flusher.duration,
            lines_queued=self._sender.queued(),
            journal_bytes=self._sender.journal_bytes(),
            journal_limit=self.settings.carbon.journal_bytes if self.settings.carbon.journal else 0,
            carbon_trouble=self._sender.trouble,
            unprotected=self._intake.unprotected,
            lately=self._intake.refusals.report(),
        )

    def config(self) -> dict[str, Any]:
        """Return the settings."""
        return asdict(self.settings)
