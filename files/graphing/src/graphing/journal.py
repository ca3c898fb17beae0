"""An append-only log on disk that survives crashes and power failures, and the memory in front of it.

A journal is a folder of segment files. A position in it counts the bytes of all records since the
journal began, so it stays valid while old segments go; each file is named by the position it begins
at. A record is a header (lengths, checksums, time stamp, number of lines before it) and a payload
of lines. Because each record knows how many lines came before it, the lines between two positions,
and those lost with a bad record, are counted exactly without reading what lies between.

One thread uses a journal, one process a folder. `graphing.statsd.sender` is that thread.
"""

import bisect
import contextlib
import fcntl
import itertools
import logging
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_MAGIC = b"\x93GJ1"
_BODY = struct.Struct("<4sIIIqQ")
"""Magic, bytes and lines of the payload, its CRC-32, the stamp, lines in all records before."""
_CHECK = struct.Struct("<I")
_HEADER_SIZE = _BODY.size + _CHECK.size
_SEGMENT_NAME = re.compile(r"(00[0-9]{18})\.log").fullmatch
_MARK_VALUES = re.compile(r"(\d{1,18}) (\d{1,18}) (\d{1,18}) (\d{1,18}) (\d{1,12}) (\S+)\n", re.ASCII).fullmatch
_OWN_NAMES = {"lock", "delivered", "delivered.tmp"}
_SEARCHED = 1 << 20
"""Bytes that are searched at once for the record after a bad one."""

_log = logging.getLogger(__name__)


class InUse(OSError):  # noqa: N818 - a state of the folder
    """Another process has the folder; `str()` names it."""


class Position(NamedTuple):
    """A place between two records: the bytes and the lines of all records before it."""

    offset: int
    lines: int


class Span(NamedTuple):
    """The records from one position to another."""

    start: Position
    end: Position

    @property
    def lines(self) -> int:
        """How many lines it holds."""
        return self.end.lines - self.start.lines


class Record(NamedTuple):
    """One record: where it is, its stamp (whole seconds since 1970) and its lines."""

    span: Span
    stamp: int
    payload: bytes


class Mark(NamedTuple):
    """What an earlier process had delivered, for its successor."""

    delivered: Position
    """All before it was delivered."""
    doubtful: Position
    """What was delivered from here on is to be sent again all the same."""
    when: int
    """When that was so, in seconds since 1970."""
    rebooted: bool = False
    """The host was booted since."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the same records as few spans, ascending, without empty ones."""
    result: list[Span] = []
    for span in sorted(span for span in spans if span.start.offset < span.end.offset):
        if result and span.start.offset <= result[-1].end.offset:
            result[-1] = Span(result[-1].start, max(result[-1].end, span.end))
        else:
            result.append(span)
    return result


def without(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return what is in `spans` and not in `others`, as `merged` does."""
    left = merged(spans)
    for other in others:
        left = merged(part for span in left for part in _pieces(span, other))
    return left


def _pieces(span: Span, other: Span) -> Iterator[Span]:
    yield Span(span.start, max(span.start, min(span.end, other.start)))
    yield Span(min(span.end, max(span.start, other.end)), span.end)


def _is_in(record: Span, spans: list[Span]) -> bool:
    """Tell whether a record lies in one of some ascending spans."""
    index = bisect.bisect_right(spans, record.start.offset, key=lambda span: span.start.offset)
    return index > 0 and record.start.offset < spans[index - 1].end.offset


class _Header(NamedTuple):
    span: Span
    stamp: int
    crc: int


def _record_at(start: Position, payload: bytes, lines: int, stamp: int) -> Record:
    end = Position(start.offset + _HEADER_SIZE + len(payload), start.lines + lines)
    return Record(Span(start, end), stamp, payload)


def _pack(record: Record) -> bytes:
    start = record.span.start
    crc = zlib.crc32(record.payload)
    body = _BODY.pack(_MAGIC, len(record.payload), record.span.lines, crc, record.stamp, start.lines)
    return body + _CHECK.pack(_header_crc(body, start.offset))


def _unpack(header: bytes, offset: int) -> _Header | None:
    """Return the header that was read at `offset`, or None if it is none or bad."""
    if len(header) < _HEADER_SIZE or not header.startswith(_MAGIC):
        return None
    if _CHECK.unpack_from(header, _BODY.size)[0] != _header_crc(header[: _BODY.size], offset):
        return None
    _, size, lines, crc, stamp, before = _BODY.unpack_from(header)
    end = Position(offset + _HEADER_SIZE + size, before + lines)
    return _Header(Span(Position(offset, before), end), stamp, crc)


def _header_crc(body: bytes, offset: int) -> int:
    # Mixed with the offset: what looks like a record at any other place than its own is none.
    return zlib.crc32(body, offset & 0xFFFFFFFF)


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
            self.mark = _read_mark(folder / "delivered")
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
        record = _record_at(self.end, payload, lines, stamp)
        segment, file = self._segments[-1], self._writing
        assert file is not None  # noqa: S101 - _make_room opened it
        try:
            _write_all(file, [_pack(record), payload], self.end.offset - segment.offset)
        except OSError:
            self._cut(segment, file)
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
                _sync_folder(self.folder)
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

    def _cut(self, segment: _Segment, file: int) -> None:
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
        self._cut(segment, file)
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
                for header in _headers(self._open(segment), segment.offset, segment.offset, segment.end):
                    if header.stamp >= stamp:
                        return header.span.start
            except OSError as error:
                _log.error("%s can't be read: %s", segment.path, error.strerror)
        return self.end

    def _records(self, segment: _Segment, offset: int) -> Iterator[Record]:
        file = self._open(segment)
        expected = offset
        for header in _headers(file, segment.offset, offset, segment.end):
            record = _load(file, segment.offset, header)
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
        scratch = self.folder / "delivered.tmp"
        values = (*mark.delivered, *mark.doubtful, mark.when, _boot_id())
        scratch.write_text(f"{' '.join(map(str, values))}\n", encoding="ascii")
        scratch.replace(self.folder / "delivered")

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
        for header in _headers(file, offset, offset, offset + size):
            return _Segment(path, offset, header.span.start.lines, header.stamp, size)
        beginning = os.pread(file, len(_MAGIC), 0)
        # A power failure may leave zeros where nothing was written yet.
        if _MAGIC.startswith(beginning) or not any(beginning):
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


def _headers(file: int, base: int, offset: int, end: int) -> Iterator[_Header]:
    """Yield the good headers from `offset` to `end`; `file` begins at `base`."""
    while offset < end:
        header = _unpack(os.pread(file, _HEADER_SIZE, offset - base), offset)
        if header is None:
            offset = _next_magic(file, base, offset + 1, end)
            continue
        yield header
        offset = header.span.end.offset


def _next_magic(file: int, base: int, offset: int, end: int) -> int:
    while offset < end:
        block = os.pread(file, _SEARCHED, offset - base)
        found = block.find(_MAGIC)
        if found >= 0:
            return min(end, offset + found)
        if len(block) < len(_MAGIC):
            break
        # The magic may lie across two blocks.
        offset += len(block) - len(_MAGIC) + 1
    return end


def _load(file: int, base: int, header: _Header) -> Record | None:
    """Return the record of a header, or None if its payload is damaged."""
    start = header.span.start.offset + _HEADER_SIZE
    payload = os.pread(file, header.span.end.offset - start, start - base)
    if len(payload) != header.span.end.offset - start or zlib.crc32(payload) != header.crc:
        return None
    return Record(header.span, header.stamp, payload)


def _write_all(file: int, parts: list[bytes], offset: int) -> None:
    # A full disk first writes a part, and says so only to the next call.
    written = os.pwritev(file, parts, offset)
    size = sum(map(len, parts))
    if written < size:
        rest = memoryview(b"".join(parts))
        while written < size:
            written += os.pwrite(file, rest[written:], offset + written)


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _read_mark(path: Path) -> Mark | None:
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        _log.error("%s can't be read (%s): every line of the journal is sent again", path, error)
        return None
    values = _MARK_VALUES(text)
    if values is None:
        _log.error("%s is damaged: every line of the journal is sent again", path)
        return None
    numbers = list(map(int, values.groups()[:5]))
    return Mark(Position(*numbers[:2]), Position(*numbers[2:4]), numbers[4], rebooted=values[6] != _boot_id())


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or "-"
    except OSError:
        return "-"


class Spool:
    """A journal, or none, and in front of it in memory the records that it does not hold safely yet.

    Each record has its position from the beginning and keeps it, in memory and on disk. Only one
    thread changes a spool; `in_memory` may be asked by any.
    """

    def __init__(self, journal: Journal | None) -> None:
        self.journal = journal
        self.end = journal.end if journal else Position(0, 0)
        self._tail: list[Record] = []
        self._written = 0

    @property
    def first(self) -> Position:
        """Where the oldest record begins; `end` if there is none."""
        if self.journal and self.journal.first < self.journal.synced:
            return self.journal.first
        return self._tail[0].span.start if self._tail else self.end

    @property
    def synced(self) -> Position:
        """Up to where records are on disk."""
        return self.journal.synced if self.journal else Position(0, 0)

    def in_memory(self) -> list[Record]:
        """Return the records that are not safely on disk, oldest first."""
        return self._tail[:]

    def lines_in_memory(self) -> int:
        """Return how many lines those have."""
        return sum(record.span.lines for record in self._tail)

    def bytes_in_memory(self) -> int:
        """Return how many bytes those have."""
        return self.end.offset - self._tail[0].span.start.offset if self._tail else 0

    def add(self, payload: bytes, lines: int, stamp: int) -> None:
        """Take a record of `lines` lines into memory."""
        record = _record_at(self.end, payload, lines, stamp)
        self._tail.append(record)
        self.end = record.span.end

    def write(self) -> None:
        """Append to the journal what it does not have. Raises OSError: the rest stays in memory."""
        if self.journal is None:
            return
        try:
            for record in self._tail[self._written :]:
                self.journal.skip_to(record.span.start)
                self.journal.append(record.payload, record.span.lines, record.stamp)
                self._written += 1
        finally:
            self._count_written(self.journal)

    def sync(self) -> None:
        """Put on disk what was written and forget it here. Raises OSError: then all of it is still in memory."""
        if self.journal is None:
            return
        try:
            self.journal.sync()
        finally:
            self._count_written(self.journal)
        self._tail, self._written = self._tail[self._written :], 0

    def _count_written(self, journal: Journal) -> None:
        # A sync that fails, also the one at the end of a segment, takes records back.
        self._written = sum(record.span.end.offset <= journal.end.offset for record in self._tail)

    def read(self, span: Span) -> Record | None:
        """Return the first good record of `span`, or None."""
        if self.journal and span.start.offset < self.journal.synced.offset:
            record = self.journal.read(Span(span.start, min(span.end, self.journal.synced)))
            if record:
                return record
        index = bisect.bisect_left(self._tail, span.start.offset, key=lambda record: record.span.start.offset)
        found = self._tail[index : index + 1]
        return found[0] if found and found[0].span.start.offset < span.end.offset else None

    def position_at(self, stamp: int) -> Position:
        """Return where the first record begins whose stamp is not less than `stamp`; `end` if there is none."""
        if self.journal:
            position = self.journal.position_at(stamp)
            if position < self.journal.synced:
                return position
        return next((record.span.start for record in self._tail if record.stamp >= stamp), self.end)

    def keep(self, needed: list[Span], end: Position) -> None:
        """Drop from memory what lies before `end` and outside of `needed` (as `merged` returns it)."""
        spans = [*needed, Span(end, self.end)]
        kept = {record.span for record in self._tail if _is_in(record.span, spans)}
        self._written = sum(record.span in kept for record in self._tail[: self._written])
        self._tail = [record for record in self._tail if record.span in kept]

    def drop_oldest(self, max_lines: int) -> list[Span]:
        """Drop the oldest records from memory until at most `max_lines` lines are left; return where they were."""
        lines = self.lines_in_memory()
        count = 0
        while lines > max_lines:
            lines -= self._tail[count].span.lines
            count += 1
        dropped = merged(record.span for record in self._tail[:count])
        self._tail, self._written = self._tail[count:], max(0, self._written - count)
        return dropped
