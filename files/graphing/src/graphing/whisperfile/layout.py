"""How the bytes of a whisper file are arranged. Standard library alone, so that any Python can use this file.

A header (method, longest archive, xFilesFactor, number of archives), then offset, step and points of each archive, then
the archives from fine to coarse. An archive is a ring of points of 12 bytes (time, value) whose first slot gives
the place of all others. The source is whisper.py of whisper 1.1; the tests compare with it.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

HEADER = struct.Struct(">LLfL")
"""Method, seconds of the longest archive, xFilesFactor, number of archives."""
ARCHIVE = struct.Struct(">LLL")
"""Offset in bytes, step in seconds, number of points."""
POINT = struct.Struct(">Ld")
"""Start of a slot in seconds since 1970, value."""
METHODS = {1: "average", 2: "sum", 3: "last", 4: "max", 5: "min", 6: "avg_zero", 7: "absmax", 8: "absmin"}
"""How points of one archive make a point of the next, by their number in the header."""


class Broken(ValueError):  # noqa: N818 - it is the file that is broken
    """Bytes that are no whisper file; `str()` is the reason."""


class Archive(NamedTuple):
    """A ring of `points` slots of `step` seconds each."""

    step: int
    points: int

    @property
    def seconds(self) -> int:
        """How far it reaches back."""
        return self.step * self.points

    @property
    def bytes(self) -> int:
        """The size of its ring."""
        return POINT.size * self.points

    def begin(self, now: int) -> int:
        """Start of the oldest slot that a reader sees at `now`; whisper leaves out the one that runs out."""
        return now - self.seconds - (now - self.seconds) % self.step + self.step

    def place(self, stamp: int, base: int) -> int:
        """Which point of the ring holds the slot at `stamp`, if the first one holds that at `base`."""
        return (stamp - base) // self.step % self.points


class Layout(NamedTuple):
    """What is decided when a series is created: archives from fine to coarse, and how one makes the next."""

    archives: tuple[Archive, ...]
    method: str
    x_files_factor: float

    @property
    def bytes(self) -> int:
        """The size of the file."""
        return self.offset(len(self.archives))

    @property
    def seconds(self) -> int:
        """How far the coarsest archive reaches back."""
        return self.archives[-1].seconds

    def offset(self, place: int) -> int:
        """Where the archive at this place begins, in bytes."""
        head = HEADER.size + ARCHIVE.size * len(self.archives)
        return head + sum(archive.bytes for archive in self.archives[:place])

    def __str__(self) -> str:
        return ",".join(f"{_duration(step)}:{_duration(step * points)}" for step, points in self.archives)


def decode_layout(raw: bytes) -> Layout:
    """The layout of a file that begins with `raw` (a few hundred bytes do). Raises Broken."""
    if len(raw) < HEADER.size:
        raise Broken("it has no header")
    kind, longest, factor, count = HEADER.unpack_from(raw)
    if kind not in METHODS or not count or not 0 <= factor <= 1:
        raise Broken("its header is not whisper's")
    if len(raw) < HEADER.size + ARCHIVE.size * count:
        raise Broken("it is shorter than its header")
    infos = [ARCHIVE.unpack_from(raw, HEADER.size + ARCHIVE.size * place) for place in range(count)]
    archives = tuple(Archive(step, points) for _, step, points in infos)
    layout = Layout(archives, METHODS[kind], factor)
    if not all(map(all, archives)) or longest != archives[-1].seconds:
        raise Broken("its header is not whisper's")
    if reason := misfit(archives):
        raise Broken(f"its header is not whisper's: {reason}")
    if any(offset != layout.offset(place) for place, (offset, _, _) in enumerate(infos)):
        raise Broken("its archives are not where whisper puts them")
    return layout


def encode_layout(layout: Layout) -> bytes:
    """The header of a file, with where its archives are."""
    kind = next(number for number, method in METHODS.items() if method == layout.method)
    head = HEADER.pack(kind, layout.seconds, layout.x_files_factor, len(layout.archives))
    infos = (ARCHIVE.pack(layout.offset(place), *archive) for place, archive in enumerate(layout.archives))
    return head + b"".join(infos)


def same(one: Layout, other: Layout) -> bool:
    """Whether two layouts are the same file header: the factor is kept with 32 bits."""
    return one[:2] == other[:2] and struct.pack("!f", one.x_files_factor) == struct.pack("!f", other.x_files_factor)


def misfit(archives: Sequence[Archive]) -> str:
    """Return why whisper can't make each archive of the one before; empty if it can."""
    for fine, coarse in pairwise(archives):
        if fine.step >= coarse.step:
            return f"steps must grow from archive to archive, and {coarse.step} s follow {fine.step} s"
        if coarse.step % fine.step:
            return f"a step must evenly divide the next one, and {fine.step} s do not divide {coarse.step} s"
        if fine.seconds >= coarse.seconds:
            return f"each archive must reach further back than the one before, and {coarse.seconds} s do not"
        if fine.points < coarse.step // fine.step:
            return f"an archive must hold a point of the next one, and {fine.seconds} s hold none of {coarse.step} s"
    return ""


def _duration(seconds: int) -> str:
    for unit, factor in (("y", 31536000), ("w", 604800), ("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % factor == 0:
            return f"{seconds // factor}{unit}"
    return f"{seconds}s"
