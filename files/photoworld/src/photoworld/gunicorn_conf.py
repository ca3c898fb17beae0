"""How gunicorn runs the forum; `photoworld serve` names this file to it.

Under a systemd socket gunicorn takes the listening sockets from LISTEN_FDS and ignores `bind`.
"""

import logging
import os
import sqlite3
from pathlib import Path
from typing import Any

from photoworld import context, db, reporter, settings

_settings = settings.from_environment(os.environ)

wsgi_app = "photoworld.app:create_app()"
bind = _settings.bind
workers = _settings.workers
# Threads, so that one slow visitor does not occupy a whole worker.
worker_class = "gthread"
threads = 4
# Loaded once, its memory shared by the workers. Of what is opened before the fork they use only the UDP
# socket of the metrics, which sends whole datagrams.
preload_app = True
timeout = 30
graceful_timeout = 10
keepalive = 5
if _settings.behind_proxy:
    # The proxy bounds the size of a request: a lower bound here refuses what it has let through.
    limit_request_line = 0  # none: a number above 8190 would be taken for 8190
    limit_request_field_size = 65536  # 0 would be taken for 8190
    limit_request_fields = 32768
errorlog = "-"
accesslog = None
control_socket_disable = True
# The workers' heartbeat is a file; in memory it cannot stall on a busy disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) and Path("/dev/shm").is_dir() else None  # noqa: S108


def on_exit(_server: Any) -> None:
    """Leave one complete file behind."""
    try:
        db.fold(_settings.database)
    except sqlite3.Error as error:
        logging.getLogger(__name__).warning("the write-ahead log stays beside the database: %s", error)


def post_worker_init(worker: Any) -> None:
    """Start the worker's own background thread, after the fork and before the first request."""
    app = worker.wsgi
    reporter.start(context.settings_of(app).database, context.metrics_of(app))
