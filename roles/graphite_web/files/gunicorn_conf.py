"""gunicorn's settings beside those of its command line: a worker that a big query has made large ends after it.

Python seldom gives memory back, and a worker at the limit of its memory would refuse every query from then on.
"""

import os
from pathlib import Path

KEEP_MIB = 256


def resident_mib():
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def post_request(worker, _request, _environment, _response):
    """Called after each request: gunicorn puts a fresh worker in the place of one that ends."""
    if resident_mib() > KEEP_MIB:
        worker.alive = False
