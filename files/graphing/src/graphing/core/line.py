"""Graphite's plaintext lines: `name value timestamp`, one number each.

Everything that goes to carbon is made here, so that it can't be a line that carbon refuses
(it closes the connection on some) or a name that leaves the whisper tree.
"""

import itertools
import math
import re
from collections.abc import Iterable

MAX_SEGMENT = 251
"""Longest part of a name between dots, in bytes: a file system allows 255, whisper adds `.wsp`."""

MAX_NAME = 1024
"""Longest name, in bytes: leaves room for a prefix and the storage directory under Linux's 4,096."""

_LEGAL = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*").fullmatch
_LEGAL_TAG = re.compile(r"([A-Za-z0-9_.-]+)=([A-Za-z0-9_.=-]+)").fullmatch
_WHITESPACE = re.compile(r"\s+", re.ASCII)
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.-]+")
_FORBIDDEN_IN_VALUE = re.compile(r"[^A-Za-z0-9_.=-]+")


class BadName(ValueError):  # noqa: N818 - it is the name that is bad
    """A name that can't be stored; `str()` is the reason."""


def is_legal_name(name: str) -> bool:
    """Tell whether carbon can store `name` as it stands."""
    return _LEGAL(name) is not None and len(name) <= MAX_NAME and _longest_segment(name) <= MAX_SEGMENT


def clean_name(raw: str) -> str:
    """Return `raw` as a legal name, or raise BadName.

    The rules are etsy/statsd's: white space becomes `_`, `/` becomes `-`, anything else that is not
    a letter, a digit or one of `_-.` is removed. etsy keeps `;` and `=` for Graphite's tags; here
    they are removed too, and `with_tags` adds them where they are wanted.
    A name that is then empty, too long, or has an empty part (`a..b`, `.a`) is refused.
    """
    if _LEGAL(raw) is None:
        raw = _clean(raw, _FORBIDDEN)
        if not raw:
            raise BadName("empty name")
        if _LEGAL(raw) is None:
            raise BadName("name with an empty part")
    if len(raw) > MAX_NAME or _longest_segment(raw) > MAX_SEGMENT:
        raise BadName("name too long")
    return raw


def with_tags(name: str, tags: Iterable[tuple[str, str]]) -> str:
    """Return a legal name with its tags as Graphite writes them, `name;tag=value;tag2=value2`.

    Of tags of the same name the last counts. What a name can't hold is replaced or removed from tags
    too, so that they need no quoting in a target or a file name; only `=` may stay in a value. Carbon keeps
    the tag `name` for itself, so a client's is called `name_`.
    A tag that carbon would refuse is left out, as the number is worth more than it: one whose name or value is then
    empty or longer than `MAX_SEGMENT`, and the longest of those that together make the name longer than `MAX_NAME`.
    """
    cleaned = (_clean_tag(*tag) for tag in tags)
    # graphite-web's database has 255 characters for each.
    kept = {tag: value for tag, value in cleaned if tag and value and max(len(tag), len(value)) <= MAX_SEGMENT}
    # Carbon sorts the whole text, `=` included: with names alone, `a=1` and `a-b=1` would change places.
    written = [f";{tag}={value}" for tag, value in kept.items()]
    return name + "".join(_that_fit(written, MAX_NAME - len(name)))


def is_legal_series(series: str) -> bool:
    """Tell whether `series` is a legal name, or one with tags as `with_tags` returns it."""
    name, *tags = series.split(";")
    if not is_legal_name(name) or len(series) > MAX_NAME:
        return False
    found = [_LEGAL_TAG(tag) for tag in tags]
    names = {legal[1] for legal in found if legal and max(map(len, legal.groups())) <= MAX_SEGMENT}
    return len(names) == len(tags) and "name" not in names and tags == sorted(tags)


def _that_fit(tags: list[str], room: int) -> list[str]:
    """Return the tags, in order, without as many of the longest as do not fit into `room` bytes."""
    by_length = sorted(tags, key=len)
    ends = itertools.accumulate(map(len, by_length))
    return sorted(tag for tag, end in zip(by_length, ends, strict=True) if end <= room)


def _clean_tag(tag: str, value: str) -> tuple[str, str]:
    tag, value = _clean(tag, _FORBIDDEN), _clean(value, _FORBIDDEN_IN_VALUE)
    return "name_" if tag == "name" else tag, value


def _clean(raw: str, forbidden: re.Pattern[str]) -> str:
    return forbidden.sub("", _WHITESPACE.sub("_", raw).replace("/", "-"))


def _longest_segment(name: str) -> int:
    return len(name) if len(name) <= MAX_SEGMENT else max(map(len, name.split(".")))


def format_number(value: float) -> str:
    """Return the shortest text that `float()` reads back as exactly `value`; whole numbers without `.0`.

    Raises ValueError for infinities and for what is not a number.
    """
    if not math.isfinite(value):
        raise ValueError(f"not a finite number: {value}")
    digits = repr(value).removesuffix(".0")
    return "0" if digits == "-0" else digits


def format_line(name: str, value: float, timestamp: int) -> str:
    """Return one line, newline included; `timestamp` in seconds since 1970."""
    return f"{name} {format_number(value)} {timestamp}\n"
