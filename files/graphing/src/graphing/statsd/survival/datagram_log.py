"""The log of what was received since the last flush: it survives the death of the process, not that of the machine.

One file, mapped into memory. The kernel puts datagrams straight into its staging slots, and their lengths beside
them; from there they go to the end of the log, as lines; `word` says in a single store how much of the log counts and
that the staged datagrams are in it. So at whatever instruction the process dies, each datagram that it had taken from
its socket is found once: in the slots or in the log. How many the log holds is stored just before, with the number of
the last batch that is counted: it may be ahead of the log by the one in the slots.

Every second the log is compacted: what it adds up to goes, as records (see `partial`), to a file of the interval beside
it, and the log begins anew. A header names the files that count, twice, so that one can be written while
the other counts.

    offset 0      magic
    8             word: bytes of log that count, generation, number of the last batch in it (32, 16 and 16 bits)
    16            number of the staged batch
    24            which header counts
    32            datagrams in the log, number of the last batch that is counted (48 and 16 bits)
    512, 2304     the two headers: length u32, JSON
    4096          the kernel's struct mmsghdr, one per slot
    then          the slots
    then          the log
"""

import contextlib
import json
import mmap
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphing.statsd.model import partial
from graphing.statsd.model.partial import Partial

SLOTS = 128
"""Datagrams that are received at a time."""
SLOT_SIZE = 65_536
"""Bytes, more than a UDP datagram can have."""
COMPACT_AT = 8 * 1024 * 1024
"""Bytes of log after which it is compacted before a second is over."""

_MAGIC = int.from_bytes(b"STATSDL1", "little")
_MESSAGE_SIZE = 64
_MESSAGE_LENGTH = 56
"""Size of the kernel's struct mmsghdr and where msg_len stands in it, on every 64-bit Linux."""
_HEADERS = (512, 2304)
_HEADER_SIZE = 1788
_MOST_UNFLUSHED = 8

_MESSAGES = 4096
_STAGING = _MESSAGES + (SLOTS * _MESSAGE_SIZE + 4095) // 4096 * 4096
_LOG = _STAGING + SLOTS * SLOT_SIZE
_LOG_SIZE = COMPACT_AT + SLOTS * (SLOT_SIZE + 1)
SIZE = _LOG + _LOG_SIZE
"""Bytes of the file. After a crash a new one is made while the old one is still there."""

LAYOUT = {
    "word": 8,
    "announced": 16,
    "which": 24,
    "packets": 32,
    "messages": _MESSAGES,
    "slots": SLOTS,
    "slot_size": SLOT_SIZE,
    "staging": _STAGING,
    "log": _LOG,
    "log_size": _LOG_SIZE,
}
"""Offsets and sizes in bytes."""


@dataclass(slots=True)
class Period:
    """An interval in the log: its end in seconds since 1970, its length in seconds, its file and how much of it."""

    end: int
    seconds: int
    file: str = ""
    length: int = 0


@dataclass(slots=True)
class Recovered:
    """What a process left that died."""

    unflushed: list[tuple[Period, Partial]] = field(default_factory=list)
    """Intervals that were over, and perhaps not flushed, oldest first."""
    period: Period | None = None
    """The one in progress, if it had begun."""
    partial: Partial = field(default_factory=Partial)
    lines: bytes = b""
    """What came after it was last compacted, newline-joined."""
    packets: int = 0
    """Datagrams in `lines`."""
    origin: str = ""
    """The state file that the dead process had taken over, see `state.SavedState.key`."""


class DatagramLog:
    """A new, empty log. With a path, it replaces what is there when `publish` is called."""

    def __init__(self, path: Path | None, origin: str = "", trouble: str = "") -> None:
        self.trouble = trouble
        """Why it is in memory alone, which dies with the process, though it should not be."""
        self._path = path
        self._origin = origin
        self._run = f"{time.time_ns():x}"
        self._generation = 0
        self._period = Period(0, 1)
        self._unflushed: list[Period] = []
        self._files: dict[str, int] = {}
        self._numbered = 0
        self.memory = self._map()
        self._words = memoryview(self.memory).cast("Q")
        self._words[0] = _MAGIC

    def _map(self) -> mmap.mmap:
        if self._path is None:
            return mmap.mmap(-1, SIZE)
        scratch = self._path.with_name(f"{self._path.name}.new")
        scratch.unlink(missing_ok=True)
        fd = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # Room for all of it now: later, its lack would be a fatal signal instead of an error.
            os.posix_fallocate(fd, 0, SIZE)
            return mmap.mmap(fd, SIZE)
        except OSError:
            scratch.unlink()
            raise
        finally:
            os.close(fd)

    @property
    def generation(self) -> int:
        """How often it was compacted: what the log holds belongs to the last time."""
        return self._generation

    def begin(self, end: int, seconds: int) -> None:
        """Say which interval is in progress. Takes effect when the log is next compacted."""
        self._numbered += 1
        self._period = Period(end, seconds, f"{self._run}.{self._numbered}")

    def reschedule(self, end: int, seconds: int) -> None:
        """Say that the interval in progress ends at another time."""
        self._period.end, self._period.seconds = end, seconds
        self._commit()

    def end_interval(self, end: int, seconds: int) -> None:
        """After `compact`: the interval in progress waits for its flush, and the next one begins."""
        self._unflushed.append(self._period)
        while len(self._unflushed) > _MOST_UNFLUSHED:
            self._drop(self._unflushed.pop(0))
        self.begin(end, seconds)
        self._commit()

    def flushed(self, end: int) -> None:
        """Forget the intervals that ended up to `end`; others have them now."""
        done = [period for period in self._unflushed if period.end <= end]
        if done:
            self._unflushed = [period for period in self._unflushed if period.end > end]
            self._commit()
            for period in done:
                self._drop(period)

    def unflushed(self) -> Iterable[int]:
        """Return the ends of the intervals that wait."""
        return [period.end for period in self._unflushed]

    def compact(self, records: bytes) -> None:
        """Replace what the log holds by records; the log must then be begun anew, with the new generation.

        Raises OSError if there is no room; then nothing has changed but that the records are lost when the log goes on.
        """
        if self._path is not None and records:
            _write_all(self._open(self._period), records, self._period.length)
            self._period.length += len(records)
        self._generation += 1
        self._commit()

    def publish(self) -> None:
        """Become the log that a next process finds; the files of earlier ones go."""
        if self._path is None:
            return
        self._path.with_name(f"{self._path.name}.new").replace(self._path)
        for other in self._path.parent.glob(f"{self._path.name}.*"):
            if not other.name.startswith(f"{self._path.name}.{self._run}.") and not other.name.endswith(".corrupt"):
                other.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete all files: another place has everything."""
        if self._path is None:
            return
        self._path.unlink(missing_ok=True)
        for period in [*self._unflushed, self._period]:
            self._drop(period)

    def _open(self, period: Period) -> int:
        if period.file not in self._files:
            path = f"{self._path}.{period.file}"
            self._files[period.file] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        return self._files[period.file]

    def _drop(self, period: Period) -> None:
        fd = self._files.pop(period.file, None)
        if fd is not None:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(f"{self._path}.{period.file}")

    def _commit(self) -> None:
        """Write the header that does not count, and let it count."""
        header = {
            "generation": self._generation,
            "origin": self._origin,
            "period": _fields(self._period),
            "unflushed": [_fields(period) for period in self._unflushed],
        }
        data = json.dumps(header).encode()
        other = 1 - self._words[LAYOUT["which"] // 8]
        at = _HEADERS[other]
        if len(data) > _HEADER_SIZE - 4:
            raise ValueError("header too large")
        self.memory[at : at + 4 + len(data)] = len(data).to_bytes(4, "little") + data
        self._words[LAYOUT["which"] // 8] = other


def _write_all(fd: int, data: bytes, at: int) -> None:
    """Write all of it, or raise OSError: where the room ends, the kernel writes a part and calls that a success."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written


def _fields(period: Period) -> list[Any]:
    return [period.end, period.seconds, period.file, period.length]


def recover(path: Path) -> Recovered | None:
    """Return what a dead process left at `path`, None if nothing; changes nothing. Raises ValueError, OSError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) != SIZE or _word(data, 0) != _MAGIC:
        raise ValueError("not a log of datagrams of this version")
    header = _header(data)
    result = Recovered(origin=header["origin"])
    result.unflushed = [(period, _read(path, period)) for period in map(_period, header["unflushed"])]
    result.period = _period(header["period"])
    result.partial = _read(path, result.period)
    word, counted = _word(data, LAYOUT["word"]), _word(data, LAYOUT["packets"])
    announced = _word(data, LAYOUT["announced"]) & 0xFFFF
    if (word >> 16) & 0xFFFF == header["generation"] & 0xFFFF:
        used = word >> 32
        result.lines = data[_LOG : _LOG + used]
        result.packets = counted >> 16
    if word & 0xFFFF != announced:
        staged = list(_staged(data))
        result.lines += b"".join(datagram + b"\n" for datagram in staged)
        if counted & 0xFFFF != announced:
            result.packets += len(staged)
    return result


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _header(data: bytes) -> dict[str, Any]:
    at = _HEADERS[_word(data, LAYOUT["which"]) & 1]
    length = int.from_bytes(data[at : at + 4], "little")
    header: dict[str, Any] = json.loads(data[at + 4 : at + 4 + length])
    return header


def _period(fields: list[Any]) -> Period:
    return Period(int(fields[0]), int(fields[1]), str(fields[2]), int(fields[3]))


def _read(path: Path, period: Period) -> Partial:
    if not period.length:
        return Partial()
    content = Path(f"{path}.{period.file}").read_bytes()
    if len(content) < period.length:
        raise ValueError(f"{path.name}.{period.file} is shorter than it was")
    return partial.read(content[: period.length])


def _staged(data: bytes) -> Iterable[bytes]:
    """Yield the datagrams in the slots."""
    for slot in range(SLOTS):
        at = _MESSAGES + slot * _MESSAGE_SIZE + _MESSAGE_LENGTH
        length = int.from_bytes(data[at : at + 4], "little")
        if length:
            start = _STAGING + slot * SLOT_SIZE
            yield data[start : start + min(length, SLOT_SIZE)]
