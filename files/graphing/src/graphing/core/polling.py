"""Asking again and again, for what nothing announces: locks and leases of others, files that other programs write."""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def poll(look: Callable[[], Seen], is_enough: Callable[[Seen], bool], seconds: float, pause: float) -> Seen:
    """Look until what is seen is enough, at most for `seconds`, with a pause in between; return what was seen last."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if is_enough(seen) or time.monotonic() >= end:
            return seen
        time.sleep(pause)
