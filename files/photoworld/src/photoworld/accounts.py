"""Members: signing up and logging in. Knows the database, nothing of the web."""

import re
import sqlite3
from dataclasses import dataclass

from werkzeug.security import check_password_hash, generate_password_hash

from photoworld.text import Refused

NAME_MIN, NAME_MAX = 3, 30
PASSWORD_MIN, PASSWORD_MAX = 8, 128
PASSWORD_HASH = "pbkdf2:sha256:600000"  # noqa: S105  - the method, not a password
"""PBKDF2 with OWASP's number of iterations: about 0.2 s of one core and no memory. scrypt at the same
strength takes 32 MiB for each log-in under way, which a flood of log-ins would turn into gigabytes."""

_NAME = re.compile(rf"[A-Za-z0-9_-]{{{NAME_MIN},{NAME_MAX}}}")


class NameTaken(Refused):
    """Somebody else has this name."""


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who signed up."""

    id: int
    name: str


def sign_up(connection: sqlite3.Connection, name: str, password: str, now: float) -> Member:
    """Create a member, or refuse with a reason."""
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise Refused(f"A name has {NAME_MIN} to {NAME_MAX} letters, digits, '_' or '-'.")
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise Refused(f"A password has {PASSWORD_MIN} to {PASSWORD_MAX} characters.")
    if connection.execute("SELECT 1 FROM member WHERE name = ?", (name,)).fetchone():
        raise NameTaken(f"The name {name} is taken.")
    password_hash = generate_password_hash(password, PASSWORD_HASH)
    try:
        cursor = connection.execute(
            "INSERT INTO member (name, password_hash, joined_at) VALUES (?, ?, ?)", (name, password_hash, now)
        )
    except sqlite3.IntegrityError:
        raise NameTaken(f"The name {name} is taken.") from None
    if cursor.lastrowid is None:
        raise RuntimeError("SQLite gave the new member no number")
    return Member(cursor.lastrowid, name)


def log_in(connection: sqlite3.Connection, name: str, password: str) -> Member | None:
    """Return the member if the password is right, and note the log-in.

    An unknown name answers faster than a wrong password; names are public here, they stand at every post.
    """
    row = connection.execute("SELECT id, name, password_hash FROM member WHERE name = ?", (name.strip(),)).fetchone()
    if row is None or len(password) > PASSWORD_MAX or not check_password_hash(row["password_hash"], password):
        return None
    connection.execute("UPDATE member SET logins = logins + 1 WHERE id = ?", (row["id"],))
    return Member(row["id"], row["name"])


def find(connection: sqlite3.Connection, member_id: int) -> Member | None:
    """Return the member with this number."""
    row = connection.execute("SELECT id, name FROM member WHERE id = ?", (member_id,)).fetchone()
    return Member(row["id"], row["name"]) if row else None
