"""The part of the reporting that no request should wait for, in a thread of each worker.

It resolves the StatsD host and reports the active sessions also while nobody asks for a page, so that the
gauge falls to zero when everybody left. Its open connection keeps SQLite from folding the write-ahead log
away after every single request.
"""

import logging
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

from photoworld import db, presence
from photoworld.metrics import Metrics

INTERVAL = 10.0
RESOLVE_WAIT = 2.0
"""Seconds that the start of a worker may wait for the name of the StatsD host."""

_log = logging.getLogger(__name__)


def report(connection: sqlite3.Connection, metrics: Metrics, now: float) -> None:
    """Send what holds right now rather than what just happened."""
    metrics.active_sessions(presence.active(connection, now))


def start(database: Path, metrics: Metrics) -> None:
    """Report for ever in the background; return once the StatsD host is resolved, or does not want to."""
    tried = threading.Event()
    threading.Thread(target=_run, args=(database, metrics, tried), name="reporter", daemon=True).start()
    tried.wait(RESOLVE_WAIT)


def _run(database: Path, metrics: Metrics, tried: threading.Event) -> None:
    working = True
    while True:
        metrics.connect()
        tried.set()
        try:
            with closing(db.connect(database)) as connection:
                while True:
                    report(connection, metrics, time.time())
                    if not working:
                        _log.warning("the database answers again")
                        working = True
                    time.sleep(INTERVAL)
                    metrics.connect()
        except sqlite3.Error as error:
            if working:
                _log.warning("cannot count the active sessions: %s", error)
                working = False
            time.sleep(INTERVAL)
