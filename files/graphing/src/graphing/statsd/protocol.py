"""StatsD's line protocol: `bucket:value|type[|@rate][|#tags]`, to metrics. Pure.

Differences from etsy/statsd, on purpose: an unknown type is a bad line and not a counter; `h`, `d`
and `m` are timers; a rate above 1, zero, infinite or hexadecimal is refused, and so are such values;
a negative timer is accepted.
"""

import math
from enum import StrEnum
from typing import NamedTuple

from graphing.line import BadName, clean_name


class Kind(StrEnum):
    """What a bucket holds."""

    COUNTER = "counters"
    TIMER = "timers"
    GAUGE = "gauges"
    SET = "sets"


class Metric(NamedTuple):
    """One value for one bucket. `bucket` is a legal Graphite name."""

    bucket: str
    kind: Kind
    value: float = 0.0
    rate: float = 1.0
    """Share of the events that the client sent, above 0 and up to 1 (counters and timers)."""
    delta: bool = False
    """Add to the gauge instead of setting it."""
    member: str = ""
    """The string to put into the set."""


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
}


def decode(datagram: bytes | bytearray | memoryview) -> str:
    """Return the datagram as text, one character per byte: different bytes stay different set members."""
    return str(datagram, "latin-1")


def parse(datagram: bytes) -> tuple[list[Metric], list[BadLine]]:
    """Return the metrics in a datagram and what was refused. Never raises."""
    metrics: list[Metric] = []
    bad: list[BadLine] = []
    for line in decode(datagram).split("\n"):
        for item in parse_line(line):
            if isinstance(item, Metric):
                metrics.append(item)
            else:
                bad.append(item)
    return metrics, bad


def parse_line(line: str) -> list[Metric | BadLine]:
    """Return one item per value of the line; a bad value leaves its neighbours alone."""
    raw_name, colon, rest = line.partition(":")
    if not colon:
        return [BadLine(line, "no value")] if line.strip() else []
    try:
        bucket = clean_name(raw_name)
    except BadName as error:
        return [BadLine(line, str(error))]
    return [_parse_value(line, bucket, part) for part in _without_tags(rest).split(":")]


def _without_tags(rest: str) -> str:
    # DogStatsD's tags may hold colons, so they go before the values are told apart. They belong to
    # the whole line; another section may follow them.
    before, mark, tags = rest.partition("|#")
    if not mark:
        return rest
    _, bar, after = tags.partition("|")
    return before + bar + after


def _parse_value(line: str, bucket: str, part: str) -> Metric | BadLine:
    value, *fields = part.split("|")
    try:
        if not fields:
            raise Refused("no type")
        kind = _KINDS.get(fields[0].strip())
        if kind is None:
            raise Refused("unknown type")
        return _metric(bucket, kind, value, _rate(fields[1:]))
    except Refused as refused:
        return BadLine(line, str(refused))


def _metric(bucket: str, kind: Kind, value: str, rate: float) -> Metric:
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
    if not fields:
        return 1.0
    field = fields[0].strip()
    if len(fields) > 1 or not field.startswith("@"):
        raise Refused("unknown field after the type")
    rate = read_number(field[1:], "rate is not a number")
    if not 0 < rate <= 1 or math.isinf(1 / rate):
        raise Refused("rate is not above 0 and up to 1")
    return rate


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
