"""StatsD's line protocol: `bucket:value|type[|@rate][|#tags]`, to metrics. Pure.

A line is taken whole or not at all. Of several values each has a type and fields of its own (`a:1|c:2|ms`), or all
but the last are bare numbers (`a:1:2:3|c|@0.5`, DogStatsD 1.1): then type and fields are those of all.

Differences from etsy/statsd, on purpose: an unknown type is a bad line and not a counter; `h`, `d`
and `m` are timers; a rate above 1, zero, infinite or hexadecimal is refused, and so are such values;
a negative timer is accepted; an empty set member differs from `0`; a rate after tags counts.

Of DogStatsD, tags are taken (`parse_line` says how), a gauge may have a time of its own (`a:1|g|T1700000000`), and what
tells a client's origin is ignored. Of statsite, `kv` is taken: a value that is stored as it is.
"""

import math
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from graphing.core.line import BadName, clean_name, with_tags

LATEST_STAMP = 4_102_444_800
"""The start of 2100, in seconds since 1970: beyond it, a client sent something else, such as milliseconds."""


class Kind(StrEnum):
    """What a bucket holds."""

    COUNTER = "counters"
    TIMER = "timers"
    GAUGE = "gauges"
    SET = "sets"
    VALUE = "values"
    """statsite's `kv`: stored as it is, each one, not aggregated."""
    DATED = "dated"
    """Values of a gauge that have a time of their own: stored as `kv` is, under the gauge's name."""


class Metric(NamedTuple):
    """One value for one bucket. `bucket` is a legal Graphite name, with tags as Graphite writes them."""

    bucket: str
    kind: Kind
    value: float = 0.0
    rate: float = 1.0
    """Share of the events that the client sent, above 0 and up to 1 (counters and timers)."""
    delta: bool = False
    """Add to the gauge instead of setting it."""
    member: str = ""
    """The string to put into the set."""
    stamp: int = 0
    """Of a `kv` or a dated gauge: its time in seconds since 1970, 0 if the client gave none."""


class BadLine(NamedTuple):
    """A line that was refused, and why."""

    line: str
    reason: str


class Malformed(ValueError):  # noqa: N818 - nothing failed
    """Something that is not StatsD; `str()` is the reason."""


UNKNOWN_FIELD = "unknown field after the type"
MIXED = "values with a type and values without one"
PACKED = "several values before one type, which only c, g, ms, h and d take"
COLON_IN_NAME = "not a number between two colons: a name can't hold a colon"
COLON_IN_SET = "a member that begins with a colon, or a name that holds one: neither can be"
DATED_COUNTER = "a counter with a time of its own: what is stored there would be replaced, not added to"
DATED_OTHER = "a time by DogStatsD's |T, which only a gauge (g) takes"
DATED_CHANGE = "a change of a gauge (+ or -) can't have a time of its own; kv takes a negative value"

_KINDS = {
    "c": Kind.COUNTER,
    "ms": Kind.TIMER,
    "h": Kind.TIMER,
    "d": Kind.TIMER,
    "m": Kind.TIMER,
    "g": Kind.GAUGE,
    "s": Kind.SET,
    "kv": Kind.VALUE,
}
_PACKABLE = frozenset(("c", "g", "ms", "h", "d"))

_EVENT, _CHECK = "_e{", "_sc|"

# `1|c|c:ID` is a container's, `1|c:2|c` is a second value: only after the type it can be told.
_ORIGIN = re.compile(r"(\|[^|:]*)(?:\|(?:c|e|card):[^|]*)+")
_DATE = re.compile(r"T[0-9]+").fullmatch
_STAMP = re.compile(r"[0-9]{1,10}").fullmatch


def decode(datagram: bytes | bytearray | memoryview) -> str:
    """Return the datagram as text, one character per byte: different bytes stay different set members."""
    return str(datagram, "latin-1")


def parse(datagram: bytes, tags: bool = False) -> tuple[list[Metric], list[BadLine]]:
    """Return the metrics in a datagram and what was refused. Never raises."""
    metrics: list[Metric] = []
    bad: list[BadLine] = []
    for line in decode(datagram).split("\n"):
        try:
            metrics += parse_line(line, tags)
        except Malformed as malformed:
            bad.append(BadLine(line, str(malformed)))
    return metrics, bad


def parse_line(line: str, tags: bool = False) -> list[Metric]:
    """Return the values of a line; raise Refused if any part of it is bad.

    With `tags`, those of DogStatsD (`a:1|c|#region:eu`), InfluxDB (`a,region=eu:1|c`) and Graphite
    (`a;region=eu:1|c`) become part of the bucket. Without, they are dropped; in a name, tags begin at the first `,` or
    `;` if a `=` follows it.
    """
    if line.startswith((_EVENT, _CHECK)):
        what = "event" if line.startswith(_EVENT) else "service check"
        raise Malformed(f"{what} of DogStatsD, not a metric")
    raw_name, colon, rest = line.partition(":")
    if not colon:
        if line.strip():
            raise Malformed("no value")
        return []
    values, tag_list = _sections(rest)
    try:
        bucket = _tagged_bucket(raw_name, tag_list) if tags else clean_name(_without_tags(raw_name))
    except BadName as error:
        raise Malformed(str(error)) from None
    return _metrics(bucket, values)


def _sections(rest: str) -> tuple[str, str]:
    """Return the values and the tags of a line, without the sections that say where it comes from."""
    # All of these belong to the whole line and may hold colons, so they go before values are told apart.
    values, mark, tail = rest.partition("|#")
    tag_list = ""
    if mark:
        tag_list, bar, after = tail.partition("|")
        values += bar + after
    if ":" in values:
        values = _ORIGIN.sub(r"\1", values)
    return values, tag_list


def _without_tags(raw_name: str) -> str:
    name, _, tags = raw_name.replace(",", ";").partition(";")
    return name if "=" in tags else raw_name


def _tagged_bucket(raw_name: str, tag_list: str) -> str:
    name, *in_name = raw_name.replace(",", ";").split(";")
    # As etsy/statsd does: the first colon of a DogStatsD tag becomes `=`.
    after_values = [tag if ":" in tag or "=" in tag else f"{tag}=true" for tag in _items(tag_list.split(","))]
    tags = [*_items(in_name), *(tag.replace(":", "=", 1) for tag in after_values)]
    bucket = clean_name(name)
    return with_tags(bucket, (_pair(tag) for tag in tags)) if tags else bucket


def _items(found: list[str]) -> Iterator[str]:
    return filter(None, map(str.strip, found))


def _pair(tag: str) -> tuple[str, str]:
    name, _, value = tag.partition("=")
    return name, value


def _metrics(bucket: str, values: str) -> list[Metric]:
    if ":" not in values:
        return [_complete(bucket, values)]
    *parts, last = values.split(":")
    typed = ["|" in part for part in parts]
    if all(typed):
        return [_complete(bucket, part) for part in (*parts, last)]
    if any(typed):
        raise Malformed(MIXED)
    return _packed(bucket, parts, last)


def _complete(bucket: str, part: str) -> Metric:
    value, *fields = part.split("|")
    return _metric(bucket, _kind(fields), value, fields[1:])


def _packed(bucket: str, bare: list[str], last: str) -> list[Metric]:
    """Return the metrics of values of which only the last has a type and fields; a set takes all as one member."""
    value, *fields = last.split("|")
    kind = _kind(fields)
    if kind is Kind.SET:
        if not bare[0]:
            # A::B:x and A::C:x would be one set.
            raise Malformed(COLON_IN_SET)
        return [_metric(bucket, kind, ":".join((*bare, value)), fields[1:])]
    for number in bare:
        read_number(number, COLON_IN_NAME)
    if fields[0].strip() not in _PACKABLE:
        raise Malformed(PACKED)
    return [_metric(bucket, kind, number, fields[1:]) for number in (*bare, value)]


def _kind(fields: list[str]) -> Kind:
    if not fields:
        raise Malformed("no type")
    kind = _KINDS.get(fields[0].strip())
    if kind is None:
        raise Malformed("unknown type")
    return kind


def _metric(bucket: str, kind: Kind, value: str, fields: list[str]) -> Metric:
    if kind is Kind.GAUGE:
        return _gauge(bucket, value, fields)
    if kind is Kind.VALUE:
        return Metric(bucket, kind, read_number(value), stamp=_stamp(_only(fields, DATED_OTHER)) if fields else 0)
    rate = _rate(fields, DATED_COUNTER if kind is Kind.COUNTER else DATED_OTHER) if fields else 1.0
    if kind is Kind.SET:
        return Metric(bucket, kind, member=value)
    amount = read_number(value)
    if not math.isfinite(amount / rate):
        raise Malformed("value too large for its rate")
    return Metric(bucket, kind, amount, rate)


def _gauge(bucket: str, value: str, fields: list[str]) -> Metric:
    amount = read_number(value)
    delta = value.strip()[0] in "+-"
    dates = [field for field in fields if _is_date(field)]
    others = [field for field in fields if not _is_date(field)] + dates[1:]
    if others:
        # A rate means nothing for a gauge or a set; clients that send one are not punished for it.
        _rate(others, UNKNOWN_FIELD)
    if not dates:
        return Metric(bucket, Kind.GAUGE, amount, delta=delta)
    if delta:
        raise Malformed(DATED_CHANGE)
    return Metric(bucket, Kind.DATED, amount, stamp=_stamp(dates[0].strip()[1:]))


def _is_date(field: str) -> bool:
    return _DATE(field.strip()) is not None


def _rate(fields: list[str], if_dated: str) -> float:
    rate = read_number(_only(fields, if_dated), "rate is not a number")
    if not 0 < rate <= 1 or math.isinf(1 / rate):
        raise Malformed("rate is not above 0 and up to 1")
    return rate


def _stamp(digits: str) -> int:
    stamp = int(digits) if _STAMP(digits) else 0
    if not 1 <= stamp <= LATEST_STAMP:
        raise Malformed("time is not a whole number of seconds since 1970")
    return stamp


def _only(fields: list[str], if_dated: str) -> str:
    """Return what follows the `@` of the only field; `if_dated` is what to say of DogStatsD's time."""
    field = fields[0].strip()
    if len(fields) == 1 and field.startswith("@"):
        return field[1:]
    raise Malformed(if_dated if any(map(_is_date, fields)) else UNKNOWN_FIELD)


def read_number(digits: str, otherwise: str = "value is not a number") -> float:
    """Return a plain decimal number; raise Refused for the rest of what float() takes.

    That is `1_000`, `inf`, `nan`, blanks that are not ASCII, and numbers beyond a double.
    """
    try:
        value = float(digits)
    except ValueError:
        raise Malformed(otherwise) from None
    if "_" in digits or not digits.isascii() or not math.isfinite(value):
        raise Malformed(otherwise)
    return value
