"""Replaces a file at once: whoever reads it, also after a crash, finds all of the old content or all of the new."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def replacing(path: Path, *, mode: int, durable: bool) -> Iterator[TextIO]:
    """Give a file to write text to, which takes the place of `path` at the end of the `with` block.

    `durable` has it on disk by then, at the price of waiting for the disk; otherwise a power failure may bring the old
    content back. Raises OSError, and leaves what was there, if it can't be written.
    """
    scratch = path.with_name(f"{path.name}.tmp")
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise
    if durable:
        # The rename itself is on disk only when the folder is.
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put on disk which files a folder has. Raises OSError."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
