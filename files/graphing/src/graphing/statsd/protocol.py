"""StatsD's line protocol: `bucket:value|type[|@rate][|#tags]`, to metrics. Pure.

Differences from etsy/statsd, on purpose: an unknown type is a bad line and not a counter; `h`, `d`
and `m` are timers; a rate above 1, zero, infinite or hexadecimal is refused, and so are such values;
a negative timer is accepted; an empty set member differs from `0`; a rate after tags counts.

Of DogStatsD, tags are taken (`parse_line` says how) and what tells a client's origin is ignored.
Of statsite, `kv` is taken: a value that is stored as it is.
"""

import math
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from graphing.line import BadName, clean_name, with_tags

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
    """Of a `kv`: its time in seconds since 1970, 0 if the client gave none."""


class BadLine(NamedTuple):
    """A value that was refused, the line it stood in, and why."""

    line: str
    reason: str


class Refused(ValueError):  # noqa: N818 - nothing failed
    """Something that is not StatsD; `str()` is the reason."""


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

_EVENT, _CHECK = "_e{", "_sc|"

# `1|c|c:ID` is a container's, `1|c:2|c` is a second value: only after the type it can be told.
_ORIGIN = re.compile(r"(\|[^|:]*)(?:\|(?:c|e|card):[^|]*)+")
_BACKDATED = re.compile(r"T[0-9]+").fullmatch
_STAMP = re.compile(r"[0-9]{1,10}").fullmatch


def decode(datagram: bytes | bytearray | memoryview) -> str:
    """Return the datagram as text, one character per byte: different bytes stay different set members."""
    return str(datagram, "latin-1")


def parse(datagram: bytes, tags: bool = False) -> tuple[list[Metric], list[BadLine]]:
    """Return the metrics in a datagram and what was refused. Never raises."""
    metrics: list[Metric] = []
    bad: list[BadLine] = []
    for line in decode(datagram).split("\n"):
        for item in parse_line(line, tags):
            if isinstance(item, Metric):
                metrics.append(item)
            else:
                bad.append(item)
    return metrics, bad


def parse_line(line: str, tags: bool = False) -> list[Metric | BadLine]:
    """Return one item per value of the line; a bad value leaves its neighbours alone.

    With `tags`, those of DogStatsD (`a:1|c|#region:eu`), InfluxDB (`a,region=eu:1|c`) and Graphite
    (`a;region=eu:1|c`) become part of the bucket. Without, DogStatsD's are ignored, and the other
    two are a name like any other, of which `,`, `;` and `=` are removed.
    """
    if line.startswith((_EVENT, _CHECK)):
        what = "event" if line.startswith(_EVENT) else "service check"
        return [BadLine(line, f"{what} of DogStatsD, not a metric")]
    raw_name, colon, rest = line.partition(":")
    if not colon:
        return [BadLine(line, "no value")] if line.strip() else []
    values, tag_list = _sections(rest)
    try:
        bucket = _tagged_bucket(raw_name, tag_list) if tags else clean_name(raw_name)
    except BadName as error:
        return [BadLine(line, str(error))]
    return [_parse_value(line, bucket, part) for part in values.split(":")]


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


def _parse_value(line: str, bucket: str, part: str) -> Metric | BadLine:
    value, *fields = part.split("|")
    try:
        if not fields:
            raise Refused("no type")
        kind = _KINDS.get(fields[0].strip())
        if kind is None:
            raise Refused("unknown type")
        return _metric(bucket, kind, value, fields[1:])
    except Refused as refused:
        return BadLine(line, str(refused))


def _metric(bucket: str, kind: Kind, value: str, fields: list[str]) -> Metric:
    if kind is Kind.VALUE:
        return Metric(bucket, kind, read_number(value), stamp=_stamp(fields))
    rate = _rate(fields) if fields else 1.0
    if kind is Kind.SET:
        return Metric(bucket, kind, member=value)
    amount = read_number(value)
    if kind is Kind.GAUGE:
        # A rate means nothing for a gauge or a set; clients that send one are not punished for it.
        return Metric(bucket, kind, amount, delta=value.strip()[0] in "+-")
    if not math.isfinite(amount / rate):
        raise Refused("value too large for its rate")
    return Metric(bucket, kind, amount, rate)


def _rate(fields: list[str]) -> float:
    rate = read_number(_only(fields), "rate is not a number")
    if not 0 < rate <= 1 or math.isinf(1 / rate):
        raise Refused("rate is not above 0 and up to 1")
    return rate


def _stamp(fields: list[str]) -> int:
    if not fields:
        return 0
    digits = _only(fields)
    stamp = int(digits) if _STAMP(digits) else 0
    if not 1 <= stamp <= LATEST_STAMP:
        raise Refused("time is not a whole number of seconds since 1970")
    return stamp


def _only(fields: list[str]) -> str:
    """Return what follows the `@` of the only field."""
    field = fields[0].strip()
    if len(fields) == 1 and field.startswith("@"):
        return field[1:]
    if any(_BACKDATED(field.strip()) for field in fields):
        raise Refused("dated by DogStatsD: a value counts in the interval in which it arrives")
    raise Refused("unknown field after the type")


def read_number(digits: str, otherwise: str = "value is not a number") -> float:
    """Return a plain decimal number; raise Refused for the rest of what float() takes.

    That is `1_000`, `inf`, `nan`, blanks that are not ASCII, and numbers beyond a double.
    """
    try:
        value = float(digits)
    except ValueError:
        raise Refused(otherwise) from None
    if "_" in digits or not digits.isascii() or not math.isfinite(value):
        raise Refused(otherwise)
    return value
