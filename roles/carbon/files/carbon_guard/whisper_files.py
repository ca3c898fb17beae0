"""Whisper's files as wholes: whether one is as long as its header says, and how a new one appears."""

import contextlib
import os
import struct
from collections.abc import Callable
from typing import Any

_HEADER, _ARCHIVE = struct.Struct("!2LfL"), struct.Struct("!3L")

_POINT_BYTES = 12

_METHODS, _MOST_ARCHIVES = range(1, 9), 64


def whisper_bytes(start: bytes) -> int:
    """Return how long a whisper file must be that starts so. Raises ValueError if none does."""
    if len(start) < _HEADER.size:
        raise ValueError("it has no header")
    method, retention, x_files_factor, archives = _HEADER.unpack_from(start)
    if method not in _METHODS or not 0 <= x_files_factor <= 1 or not 1 <= archives <= _MOST_ARCHIVES:
        raise ValueError("its header is none of whisper's")
    end = _HEADER.size + archives * _ARCHIVE.size
    if len(start) < end:
        raise ValueError("it is shorter than its header")
    longest = 0
    for number in range(archives):
        offset, step, points = _ARCHIVE.unpack_from(start, _HEADER.size + number * _ARCHIVE.size)
        if offset != end or not step or not points:
            raise ValueError("its header is none of whisper's")
        longest = max(longest, step * points)
        end += points * _POINT_BYTES
    if longest != retention:
        raise ValueError("its header is none of whisper's")
    return int(end)


def damage(path: str) -> str | None:
    """Return what is wrong with a whisper file as a whole, if anything. Raises OSError if it cannot be read."""
    with open(path, "rb") as file:
        start = file.read(_HEADER.size + _MOST_ARCHIVES * _ARCHIVE.size)
        size = os.fstat(file.fileno()).st_size
    try:
        wanted = whisper_bytes(start)
    except ValueError as error:
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
