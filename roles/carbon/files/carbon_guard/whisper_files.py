"""Whisper's files as wholes: whether one is as long as its header says, and how a new one appears."""

import contextlib
import os
from collections.abc import Callable
from typing import Any

from carbon_guard.whisper_layout import ARCHIVE, HEADER, Broken, decode_layout

_MOST_ARCHIVES = 64
"""Of so many archives the headers are read, which is far more than anybody has."""


def damage(path: str) -> str | None:
    """Return what is wrong with a whisper file as a whole, if anything. Raises OSError if it cannot be read."""
    with open(path, "rb") as file:
        start = file.read(HEADER.size + _MOST_ARCHIVES * ARCHIVE.size)
        size = os.fstat(file.fileno()).st_size
    try:
        wanted = decode_layout(start).bytes
    except Broken as error:
        return str(error)
    return None if size >= wanted else f"it has {size:,} of {wanted:,} bytes"


def create_whole(create: Callable[..., None], scratch: str) -> Callable[..., None]:
    """Return whisper's create, made to write to a file named `scratch` in the same folder and then to rename it."""

    def whole(path: str, *rest: Any) -> None:
        if os.path.exists(path):
            # Which whisper refuses.
            create(path, *rest)
            return
        unfinished = os.path.join(os.path.dirname(path), scratch)
        # Of a process that was killed.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)
        create(unfinished, *rest)
        os.rename(unfinished, path)

    return whole
