"""The page that a supervisor or load balancer asks."""

import sqlite3

from flask.typing import ResponseReturnValue

from photoworld import context, db


def healthz() -> ResponseReturnValue:
    """Answer 200 if the database can be read and written, 503 with the reason if not."""
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    try:
        db.check(context.database())
    except sqlite3.Error as error:
        return f"database: {error}\n", 503, headers
    return "ok\n", 200, headers
