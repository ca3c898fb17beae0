"""What the guard says in carbon's log."""

import math
import time
from collections.abc import Callable

COMPLAINT_SECONDS = 10.0


class Complaints:
    """A log that says each kind of thing at most once in some seconds, with how many it did not say."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def __call__(self, kind: str, text: str) -> None:
        """Say it, or count it."""
        now = time.monotonic()
        if now - self._said.get(kind, -math.inf) < COMPLAINT_SECONDS:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        more = self._unsaid.pop(kind, 0)
        self._said[kind] = now
        self._say(f"guard: {text}" + (f" (and {more} more before)" if more else ""))
