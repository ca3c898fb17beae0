"""Backups of a graphing server in a Borg repository, taken while it works, and how one is brought back.

Everything goes in one archive, whose last member is a manifest with the SHA-256 of every other; an archive without it
is not whole. It is put together as a stream, so a backup needs no room but the repository's.
"""


class BackupError(Exception):
    """What stops a backup or a restore; `str()` is one sentence that says what is wrong and what helps."""
