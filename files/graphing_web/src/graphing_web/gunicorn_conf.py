"""gunicorn's settings beside those of its command line.

A worker that a big query has made large ends after it: Python seldom gives memory back, and a worker at the limit of
its memory would refuse every query from then on.
"""

import os
from pathlib import Path
from typing import Any

KEEP_MIB = 256

# nginx alone bounds the size of a request: a lower bound here refuses what it has let through.
limit_request_line = 0  # none: a number above 8190 would be taken for 8190
limit_request_field_size = 65536
limit_request_fields = 32768  # the most that gunicorn knows; so many do not fit into nginx's buffers


def resident_mib() -> int:
    """Return the memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def post_request(worker: Any, _request: object, _environment: object, _response: object) -> None:
    """Called after each request: gunicorn puts a fresh worker in the place of one that ends."""
    if resident_mib() > KEEP_MIB:
        worker.alive = False
