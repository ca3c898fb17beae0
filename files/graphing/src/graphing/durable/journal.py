"""An append-only log on disk that survives crashes and power failures.

A journal is a folder of segment files. A position in it counts the bytes of all records since the
journal began, so it stays valid while old segments go; each file is named by the position it begins
at. A record is a header (lengths, checksums, time stamp, number of lines before it) and a payload
of lines. Because each record knows how many lines came before it, the lines between two positions,
and those lost with a bad record, are counted exactly without reading what lies between.

One thread uses a journal, one process a folder.
"""

import contextlib
import fcntl
import itertools
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graphing.core.atomic import sync_folder
from graphing.durable.mark import Mark, read_mark, write_mark
from graphing.durable.record import MAGIC, Record, headers, load, pack, record_at
from graphing.durable.span import Position, Span

_SEGMENT_NAME = re.compile(r"(00[0-9]{18})\.log").fullmatch
_OWN_NAMES = {"lock", "delivered", "delivered.tmp"}
_log = logging.getLogger(__name__)


class InUse(OSError):  # noqa: N818 - a state of the folder
    """Another process has the folder; `str()` names it."""


@dataclass(slots=True)
class _Segment:
    path: Path
    offset: int
    lines: int
    stamp: int
    """Of its first record."""
    size: int

    @property
    def start(self) -> Position:
        return Position(self.offset, self.lines)

    @property
    def end(self) -> int:
        return self.offset + self.size


class Journal:
    """A folder of segments, open for reading and appending by this process alone."""

    def __init__(self, folder: Path, segment_bytes: int, segment_seconds: int) -> None:
        """Open the folder, or make it, and repair what a crash left behind.

        A segment ends when it has `segment_bytes` or spans `segment_seconds`. Raises InUse if another
        process has the folder, OSError if it can't be used.
        """
        self.folder = folder
        self.skipped = 0
        """Bad records that were passed over since it was opened."""
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._segments: list[_Segment] = []
        self._reading: tuple[_Segment, int] | None = None
        self._writing: int | None = None
        self._made_segment = False
        folder.mkdir(mode=0o700, exist_ok=True)
        self._lock = _locked(folder)
        try:
            self.mark = read_mark(folder / "delivered")
            self.end = self.synced = self._recover()
        except BaseException:
            self.close()
            raise

    @property
    def first(self) -> Position:
        """Where the oldest record begins; `end` if there is none."""
        return self._segments[0].start if self._segments else self.end

    @property
    def size(self) -> int:
        """How many bytes its segments hold."""
        return sum(segment.size for segment in self._segments)

    # Writing

    def append(self, payload: bytes, lines: int, stamp: int) -> Record:
        """Write a record of `lines` lines at the end, not synced; return it.

        Raises OSError, ENOSPC above all: then nothing has changed for readers, and it may be tried again.
        """
        self._make_room(stamp)
        record = record_at(self.end, payload, lines, stamp)
        segment, file = self._segments[-1], self._writing
        assert file is not None  # noqa: S101 - _make_room opened it
        try:
            _write_all(file, [pack(record), payload], self.end.offset - segment.offset)
        except OSError:
            self._truncate(segment, file)
            raise
        self.end = record.span.end
        segment.size = self.end.offset - segment.offset
        return record

    def skip_to(self, position: Position) -> None:
        """Let the next record begin at a later position: what lies between was never here."""
        if position.offset > self.end.offset:
            self.sync()
            self._stop_writing()
            self.end = self.synced = position

    def sync(self) -> None:
        """Put every record on disk. Raises OSError: then those since the last sync are gone from the journal."""
        if self._writing is None or self.synced == self.end:
            return
        try:
            os.fsync(self._writing)
            if self._made_segment:
                sync_folder(self.folder)
        except OSError:
            self._roll_back()
            raise
        self._made_segment = False
        self.synced = self.end

    def _make_room(self, stamp: int) -> None:
        """Have a segment to write to."""
        if self._writing is not None:
            segment = self._segments[-1]
            if segment.size < self._segment_bytes and stamp < segment.stamp + self._segment_seconds:
                return
            self.sync()
            self._stop_writing()
        path = self.folder / f"{self.end.offset:020}.log"
        # What may be there is the rest of a failed write that could not be removed then.
        self._writing = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._made_segment = True
        self._segments.append(_Segment(path, self.end.offset, self.end.lines, stamp, 0))

    def _truncate(self, segment: _Segment, file: int) -> None:
        """Take back what a failed write left behind its last record."""
        # If this fails too, the next record overwrites it, or the next start cuts it.
        with contextlib.suppress(OSError):
            if segment.size:
                os.ftruncate(file, segment.size)
            else:
                self._drop_segment(segment)

    def _roll_back(self) -> None:
        """Forget the records that could not be synced: the kernel may have forgotten them too."""
        segment, file = self._segments[-1], self._writing
        assert file is not None  # noqa: S101 - only sync() calls this
        self.end = self.synced
        segment.size = max(0, self.end.offset - segment.offset)
        self._truncate(segment, file)
        # What is written next goes to another file, which a bad sector of this one doesn't concern.
        self._stop_writing()

    def _drop_segment(self, segment: _Segment) -> None:
        self._segments.remove(segment)
        if self._reading and self._reading[0] is segment:
            self._stop_reading()
        if self._writing is not None and (not self._segments or self._segments[-1].offset < segment.offset):
            self._stop_writing()
        with contextlib.suppress(FileNotFoundError):
            segment.path.unlink()

    def _stop_writing(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    # Reading

    def read(self, span: Span) -> Record | None:
        """Return the first good record of `span`, or None. Bad ones are passed over, named and counted."""
        for segment in list(self._segments):
            if segment.end > span.start.offset and segment.offset < span.end.offset:
                try:
                    for record in self._records(segment, max(segment.offset, span.start.offset)):
                        return record if record.span.start.offset < span.end.offset else None
                except OSError as error:
                    _log.error("%s can't be read (%s): its lines are skipped", segment.path, error.strerror)
        return None

    def position_at(self, stamp: int) -> Position:
        """Return where the first record begins whose stamp is not less than `stamp`; `end` if there is none."""
        older = sum(1 for _ in itertools.takewhile(lambda segment: segment.stamp < stamp, self._segments))
        for segment in self._segments[max(0, older - 1) :]:
            try:
                for header in headers(self._open(segment), segment.offset, segment.offset, segment.end):
                    if header.stamp >= stamp:
                        return header.span.start
            except OSError as error:
                _log.error("%s can't be read: %s", segment.path, error.strerror)
        return self.end

    def _records(self, segment: _Segment, offset: int) -> Iterator[Record]:
        file = self._open(segment)
        expected = offset
        for header in headers(file, segment.offset, offset, segment.end):
            record = load(file, segment.offset, header)
            if record is None:
                continue
            if record.span.start.offset > expected:
                self.skipped += 1
                _log.error("%s: damaged from byte %d to %d", segment.path, *_within(segment, expected, record))
            expected = record.span.end.offset
            yield record

    def _open(self, segment: _Segment) -> int:
        if self._reading is None or self._reading[0] is not segment:
            self._stop_reading()
            self._reading = segment, os.open(segment.path, os.O_RDONLY)
        return self._reading[1]

    def _stop_reading(self) -> None:
        if self._reading is not None:
            os.close(self._reading[1])
            self._reading = None

    # Keeping it small

    def trim(self, max_bytes: int, oldest_stamp: int) -> Span:
        """Remove whole segments, oldest first, while they are too much or too old; return what was removed.

        Too much is more than `max_bytes` in all; too old is only records with stamps below
        `oldest_stamp`. The newest segment stays.
        """
        start = self.first
        while len(self._segments) > 1:
            if self.size <= max_bytes and self._segments[1].stamp >= oldest_stamp:
                break
            try:
                self._drop_segment(self._segments[0])
            except OSError as error:
                _log.error("an old segment can't be removed: %s", error)
        return Span(start, self.first)

    # How far it was delivered

    def save_mark(self, mark: Mark) -> None:
        """Remember for the next start how far the lines were delivered.

        It is not synced: an older mark only means that lines are sent again. Raises OSError.
        """
        write_mark(self.folder / "delivered", mark)

    def close(self) -> None:
        """Let other processes have the folder."""
        self._stop_reading()
        self._stop_writing()
        os.close(self._lock)

    # Opening

    def _recover(self) -> Position:
        """Find the segments and cut off what was being written at a crash; return the end."""
        # No position is used twice: not one that was delivered, nor one of a file that can't be used.
        floor = self.mark.delivered if self.mark else Position(0, 0)
        for offset, path in _listed(self.folder):
            segment = _opened(path, offset)
            if segment and (not self._segments or self._segments[-1].end <= offset):
                self._segments.append(segment)
            elif path.exists():
                _log.error("%s holds nothing of this journal, or can't be read: left alone", path)
                floor = max(floor, Position(offset + path.stat().st_size + 1, floor.lines))
        while self._segments:
            end = self._repair(self._segments[-1])
            if end is None:
                continue
            if end.offset >= floor.offset:
                return end
            self._stop_writing()
            return Position(floor.offset, max(floor.lines, end.lines))
        return floor

    def _repair(self, segment: _Segment) -> Position | None:
        """Cut the newest segment after its last good record and open it for writing; None if it has none."""
        end = None
        for record in self._records(segment, segment.offset):
            end = record.span.end
        if end is None:
            _log.warning("%s: removed, with %d unfinished bytes", segment.path, segment.size)
            self._drop_segment(segment)
            return None
        self._writing = os.open(segment.path, os.O_RDWR)
        if end.offset < segment.end:
            _log.warning("%s: cut off %d unfinished bytes at its end", segment.path, segment.end - end.offset)
            segment.size = end.offset - segment.offset
            os.ftruncate(self._writing, segment.size)
        # It may hold records that a killed process had not synced.
        os.fsync(self._writing)
        return end


def _locked(folder: Path) -> int:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise InUse(error.errno, "another process uses this journal", str(folder)) from error
    except OSError:
        os.close(lock)
        raise
    return lock


def _listed(folder: Path) -> list[tuple[int, Path]]:
    """Return the segments by offset; name what else is there."""
    found = []
    for path in sorted(folder.iterdir()):
        if match := _SEGMENT_NAME(path.name):
            found.append((int(match[1]), path))
        elif path.name not in _OWN_NAMES:
            _log.warning("%s is no part of the journal: left alone", path)
    return found


def _opened(path: Path, offset: int) -> _Segment | None:
    """Return a segment, or None if the file can't be read or holds no record's header.

    Removes a file in which a crash left nothing but the beginning of its first record.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        _log.error("%s: %s", path, error.strerror)
        return None
    try:
        size = os.fstat(file).st_size
        for header in headers(file, offset, offset, offset + size):
            return _Segment(path, offset, header.span.start.lines, header.stamp, size)
        beginning = os.pread(file, len(MAGIC), 0)
        # A power failure may leave zeros where nothing was written yet.
        if MAGIC.startswith(beginning) or not any(beginning):
            _log.warning("%s: removed, with %d unfinished bytes", path, size)
            path.unlink()
    except OSError as error:
        _log.error("%s: %s", path, error.strerror)
    finally:
        os.close(file)
    return None


def _within(segment: _Segment, expected: int, record: Record) -> tuple[int, int]:
    """Return the bytes of a segment's file between an expected offset and a record."""
    return expected - segment.offset, record.span.start.offset - segment.offset


def _write_all(file: int, parts: list[bytes], offset: int) -> None:
    # A full disk first writes a part, and says so only to the next call.
    written = os.pwritev(file, parts, offset)
    size = sum(map(len, parts))
    if written < size:
        rest = memoryview(b"".join(parts))
        while written < size:
            written += os.pwrite(file, rest[written:], offset + written)
