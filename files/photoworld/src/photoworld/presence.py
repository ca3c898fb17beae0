"""Who is here right now, kept in the database so that all workers count the same people."""

import sqlite3

ACTIVE_SECONDS = 300
"""A session is active this long after its last page."""


def seen(connection: sqlite3.Connection, session: str, now: float) -> None:
    """Note that a session just asked for a page."""
    connection.execute(
        "INSERT INTO presence (session, seen_at) VALUES (?, ?)"
        " ON CONFLICT (session) DO UPDATE SET seen_at = excluded.seen_at",
        (session, now),
    )


def gone(connection: sqlite3.Connection, session: str) -> None:
    """Note that a session ended."""
    connection.execute("DELETE FROM presence WHERE session = ?", (session,))


def active(connection: sqlite3.Connection, now: float) -> int:
    """Forget the sessions that went away and return how many are left."""
    connection.execute("DELETE FROM presence WHERE seen_at <= ?", (now - ACTIVE_SECONDS,))
    return int(connection.execute("SELECT count(*) FROM presence").fetchone()[0])
