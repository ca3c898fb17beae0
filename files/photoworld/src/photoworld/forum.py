"""Threads and posts: every query of the forum. Knows the database, nothing of the web or of metrics."""

import sqlite3
from dataclasses import dataclass

from photoworld import db
from photoworld.text import Refused, many_lines, one_line

TITLE_MAX = 120
POST_MAX = 10_000
THREAD_POSTS_MAX = 500
"""A thread that is full stays readable; the talk goes on in a new one."""
THREADS_PER_PAGE = 20
POSTS_PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread as a line of the front page."""

    id: int
    title: str
    author: str
    started_at: float
    last_post_at: float
    views: int
    posts: int


@dataclass(frozen=True, slots=True)
class Post:
    """One contribution to a thread."""

    id: int
    author: str
    body: str
    posted_at: float


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page of how many is shown."""

    page: int
    pages: int

    @classmethod
    def of(cls, wanted: int, items: int, per_page: int) -> "Paging":
        """Return the nearest page that exists."""
        pages = max(1, -(-items // per_page))
        return cls(min(max(1, wanted), pages), pages)


_THREADS = """
    SELECT thread.id, title, member.name AS author, started_at, last_post_at, views,
           (SELECT count(*) FROM post WHERE thread_id = thread.id) AS posts
    FROM thread JOIN member ON member.id = thread.member_id
"""


def start_thread(  # noqa: PLR0913  - a thread is its title, its first post, its author and its time
    connection: sqlite3.Connection,
    member_id: int,
    title: str,
    body: str,
    *,
    now: float,
    keep_threads: int = 0,
) -> int:
    """Store a new thread with its first post and return its number.

    With keep_threads the threads that have been without a post for longest make room.
    """
    title = one_line("The title", title, TITLE_MAX)
    body = many_lines("The post", body, POST_MAX)
    with db.transaction(connection):
        cursor = connection.execute(
            "INSERT INTO thread (title, member_id, started_at, last_post_at) VALUES (?, ?, ?, ?)",
            (title, member_id, now, now),
        )
        thread_id = cursor.lastrowid
        if thread_id is None:
            raise RuntimeError("SQLite gave the new thread no number")
        _add_post(connection, thread_id, member_id, body, now)
        if keep_threads:
            connection.execute(
                "DELETE FROM thread WHERE id IN"
                " (SELECT id FROM thread ORDER BY last_post_at DESC, id DESC LIMIT -1 OFFSET ?)",
                (keep_threads,),
            )
    return thread_id


def reply(connection: sqlite3.Connection, thread_id: int, member_id: int, body: str, now: float) -> int | None:
    """Add a post and return how many the thread has now, or None if there is no such thread."""
    body = many_lines("The post", body, POST_MAX)
    with db.transaction(connection):
        if not connection.execute("SELECT 1 FROM thread WHERE id = ?", (thread_id,)).fetchone():
            return None
        posts = _count_posts(connection, thread_id)
        if posts >= THREAD_POSTS_MAX:
            raise Refused(f"This thread is full ({posts} posts). Please start a new one.")
        _add_post(connection, thread_id, member_id, body, now)
        connection.execute("UPDATE thread SET last_post_at = ? WHERE id = ?", (now, thread_id))
    return posts + 1


def front_page(connection: sqlite3.Connection, page: int) -> tuple[list[Thread], Paging]:
    """Return one page of threads, the newest activity first."""
    total = int(connection.execute("SELECT count(*) FROM thread").fetchone()[0])
    paging = Paging.of(page, total, THREADS_PER_PAGE)
    rows = connection.execute(
        f"{_THREADS} ORDER BY last_post_at DESC, thread.id DESC LIMIT ? OFFSET ?",
        (THREADS_PER_PAGE, (paging.page - 1) * THREADS_PER_PAGE),
    )
    return [Thread(*row) for row in rows], paging


def find_thread(connection: sqlite3.Connection, thread_id: int) -> Thread | None:
    """Return the thread with this number."""
    row = connection.execute(f"{_THREADS} WHERE thread.id = ?", (thread_id,)).fetchone()
    return Thread(*row) if row else None


def posts_of(connection: sqlite3.Connection, thread: Thread, page: int) -> tuple[list[Post], Paging]:
    """Return one page of a thread's posts, the oldest first."""
    paging = Paging.of(page, thread.posts, POSTS_PER_PAGE)
    rows = connection.execute(
        "SELECT post.id, member.name, body, posted_at FROM post JOIN member ON member.id = post.member_id"
        " WHERE thread_id = ? ORDER BY post.id LIMIT ? OFFSET ?",
        (thread.id, POSTS_PER_PAGE, (paging.page - 1) * POSTS_PER_PAGE),
    )
    return [Post(*row) for row in rows], paging


def last_page(posts: int) -> int:
    """Return the page on which the last of so many posts stands."""
    return Paging.of(posts, posts, POSTS_PER_PAGE).pages


def note_view(connection: sqlite3.Connection, thread_id: int) -> None:
    """Count that somebody read the thread."""
    connection.execute("UPDATE thread SET views = views + 1 WHERE id = ?", (thread_id,))


def _add_post(connection: sqlite3.Connection, thread_id: int, member_id: int, body: str, now: float) -> None:
    connection.execute(
        "INSERT INTO post (thread_id, member_id, body, posted_at) VALUES (?, ?, ?, ?)",
        (thread_id, member_id, body, now),
    )


def _count_posts(connection: sqlite3.Connection, thread_id: int) -> int:
    return int(connection.execute("SELECT count(*) FROM post WHERE thread_id = ?", (thread_id,)).fetchone()[0])
