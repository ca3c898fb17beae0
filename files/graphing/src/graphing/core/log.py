"""Logging to stderr, where systemd's journal or a person reads it."""

import logging
import os
import sys
import time
from collections.abc import Callable

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def set_up_logging() -> None:
    """Send all loggers to stderr, each line with its level: for the journal as sd-daemon's `<priority>`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JournalFormatter() if _is_journal() else logging.Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _is_journal() -> bool:
    # systemd.exec(5): the variable holds the device and inode of the journal's stream. It is
    # inherited by children whose stderr goes elsewhere, hence the comparison.
    status = os.fstat(sys.stderr.fileno())
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _JournalFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return prefix + super().format(record).replace("\n", f"\n{prefix}")


class RateLimitedLog:
    """Write a message at most once in `seconds`; the next one says how many were left out."""

    def __init__(
        self,
        log: logging.Logger,
        level: int,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._level = level
        self._seconds = seconds
        self._clock = clock
        self._next = -float("inf")
        self._suppressed = 0

    def __call__(self, message: str, *arguments: object) -> None:
        """Log `message % arguments`, or count it as left out."""
        now = self._clock()
        if now < self._next:
            self._suppressed += 1
            return
        if self._suppressed:
            message, arguments = message + " (%d similar not shown)", (*arguments, self._suppressed)
        self._log.log(self._level, message, *arguments)
        self._next = now + self._seconds
        self._suppressed = 0
