-- Times are seconds since 1970. Every statement can be run again on a database that has it.

CREATE TABLE IF NOT EXISTS member (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL COLLATE NOCASE UNIQUE,
    password_hash TEXT NOT NULL,
    joined_at     REAL NOT NULL,
    logins        INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE IF NOT EXISTS thread (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    title        TEXT NOT NULL,
    member_id    INTEGER NOT NULL REFERENCES member (id),
    started_at   REAL NOT NULL,
    last_post_at REAL NOT NULL,
    views        INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX IF NOT EXISTS thread_by_activity ON thread (last_post_at DESC, id DESC);

CREATE TABLE IF NOT EXISTS post (
    id        INTEGER PRIMARY KEY,
    thread_id INTEGER NOT NULL REFERENCES thread (id) ON DELETE CASCADE,
    member_id INTEGER NOT NULL REFERENCES member (id),
    body      TEXT NOT NULL,
    posted_at REAL NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS post_by_thread ON post (thread_id, id);

-- Who is here: one row per browser session, kept only while it counts as active.
CREATE TABLE IF NOT EXISTS presence (
    session TEXT PRIMARY KEY,
    seen_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS presence_by_time ON presence (seen_at);
