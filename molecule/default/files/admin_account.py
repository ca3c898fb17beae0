"""The superuser's account in graphite-web's database, behind the role's back: admin_account.py hash|forget."""

import contextlib
import sqlite3
import sys

DATABASE = "/var/lib/graphite/web/graphite.db"


def print_hash(database: sqlite3.Connection) -> None:
    """Print the password as it is stored."""
    print(database.execute("select password from auth_user where username = 'admin'").fetchone())


def forget(database: sqlite3.Connection) -> None:
    """Remove the account."""
    own = "select id from auth_user where username = 'admin'"
    database.execute(f"delete from account_profile where user_id in ({own})")  # noqa: S608 - nothing in it is given
    database.execute("delete from auth_user where username = 'admin'")


with contextlib.closing(sqlite3.connect(DATABASE)) as opened, opened:
    {"hash": print_hash, "forget": forget}[sys.argv[1]](opened)
