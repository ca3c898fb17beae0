"""The partial result of an interval: records, as the engines' `serialize_changes` writes them. Pure.

A record is a letter and its fields, little-endian. The reference engine writes everything each time:

    M  length u32, marshal of the fields of an Interval: replaces all that stands before it

The compiled one writes what changed since the last call; buckets have numbers, in order of their first record:

    N  kind u8, length u16, name: the next number; replaces an earlier bucket of that kind and name
    V  number u32, value f64: a counter's sum, a gauge's value, a timer's unsent events, so far
    T  number u32, count u32, f64 each: further values of a timer
    S  number u32, length u32, member of a set
    D  number u32: the bucket is gone

Both:

    K  length u32, JSON: `kv` values, {"bucket": [[value, stamp], ...]}, so far
    G  the same of gauges: their values that have a time of their own
    H  length u32, JSON: the aggregator's own counts so far, {"packets": 1, ...}, and the kernel's of the sockets
"""

import json
import marshal
import struct
from dataclasses import dataclass, field
from typing import Any

from graphing.statsd.model.protocol import Kind
from graphing.statsd.model.reference import Interval

SOCKET_DROPS = "socket_drops"
"""In an H record: the kernel's own count, which outlives the process as the sockets do."""

KINDS = (Kind.COUNTER, Kind.TIMER, Kind.GAUGE, Kind.SET)
"""By their number in an N record."""

_NAME = struct.Struct("<BH")
_VALUE = struct.Struct("<Id")
_COUNT = struct.Struct("<II")
_NUMBER = struct.Struct("<I")


@dataclass(slots=True)
class Partial:
    """What records add up to."""

    interval: Interval = field(default_factory=Interval)
    counted: dict[str, int] = field(default_factory=dict)


def counted_record(counted: dict[str, int], socket_drops: int) -> bytes:
    """Return the H record; `socket_drops` is what the kernel had counted on the sockets by then."""
    return _json_record(b"H", {**counted, SOCKET_DROPS: socket_drops})


def stamped_record(kind: Kind, values: dict[str, list[tuple[float, int]]]) -> bytes:
    """Return the K or the G record."""
    return _json_record(b"K" if kind is Kind.VALUE else b"G", values)


def _json_record(letter: bytes, content: Any) -> bytes:
    data = json.dumps(content).encode()
    return letter + _NUMBER.pack(len(data)) + data


def read(data: bytes) -> Partial:
    """Return what the records add up to; raise ValueError if they are not such records."""
    try:
        return _Reader(data).read()
    except (KeyError, TypeError, AttributeError, EOFError, OverflowError, RecursionError, MemoryError) as error:
        raise ValueError(f"damaged record: {error!r}") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._result = Partial()
        self._buckets: list[tuple[Kind, str]] = []

    def read(self) -> Partial:
        readers = {
            "M": self._everything,
            "N": self._name,
            "V": self._value,
            "T": self._timer,
            "S": self._member,
            "D": self._gone,
            "K": self._values,
            "G": self._dated,
            "H": self._counted,
        }
        while self._at < len(self._data):
            letter = self._read_bytes(1).decode("latin-1")
            if letter not in readers:
                raise ValueError(f"no record begins with {letter!r}")
            readers[letter]()
        return self._result

    def _read_bytes(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError("ends in the middle of a record")
        self._at += size
        return taken

    def _unpack(self, form: struct.Struct) -> tuple[Any, ...]:
        return form.unpack(self._read_bytes(form.size))

    def _sized(self) -> bytes:
        (length,) = self._unpack(_NUMBER)
        return self._read_bytes(length)

    def _bucket(self, number: int) -> tuple[Kind, str]:
        if number >= len(self._buckets):
            raise ValueError(f"no bucket has the number {number}")
        return self._buckets[number]

    def _everything(self) -> None:
        fields = marshal.loads(self._sized())  # noqa: S302 - from a file that only this daemon's user can write
        if not isinstance(fields, tuple) or not all(isinstance(field, dict) for field in fields):
            raise ValueError("not the fields of an interval")
        self._result.interval = Interval(*fields)

    def _name(self) -> None:
        kind_number, length = self._unpack(_NAME)
        if kind_number >= len(KINDS):
            raise ValueError(f"no kind has the number {kind_number}")
        kind, name = KINDS[kind_number], self._read_bytes(length).decode("latin-1")
        self._buckets.append((kind, name))
        self._forget(kind, name)
        empty: Any = {Kind.TIMER: list, Kind.SET: set}.get(kind, float)()
        self._result.interval.of(kind)[name] = empty

    def _forget(self, kind: Kind, name: str) -> None:
        self._result.interval.of(kind).pop(name, None)
        if kind is Kind.TIMER:
            self._result.interval.unsent.pop(name, None)

    def _value(self) -> None:
        number, value = self._unpack(_VALUE)
        kind, name = self._bucket(number)
        if kind is not Kind.TIMER:
            self._result.interval.of(kind)[name] = value
        elif value:
            self._result.interval.unsent[name] = value

    def _timer(self) -> None:
        number, count = self._unpack(_COUNT)
        _, name = self._bucket(number)
        self._result.interval.timers[name] += struct.unpack(f"<{count}d", self._read_bytes(8 * count))

    def _member(self) -> None:
        number, length = self._unpack(_COUNT)
        _, name = self._bucket(number)
        self._result.interval.sets[name].add(self._read_bytes(length).decode("latin-1"))

    def _gone(self) -> None:
        (number,) = self._unpack(_NUMBER)
        self._forget(*self._bucket(number))

    def _values(self) -> None:
        self._result.interval.values = self._stamped()

    def _dated(self) -> None:
        self._result.interval.dated = self._stamped()

    def _stamped(self) -> dict[str, list[tuple[float, int]]]:
        return {
            bucket: [(float(value), int(stamp)) for value, stamp in found] for bucket, found in self._object().items()
        }

    def _counted(self) -> None:
        self._result.counted = {name: int(count) for name, count in self._object().items()}

    def _object(self) -> dict[str, Any]:
        found = json.loads(self._sized())
        if not isinstance(found, dict):
            raise ValueError("not a JSON object")
        return found
