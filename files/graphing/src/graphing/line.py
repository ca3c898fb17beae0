"""Graphite's plaintext lines: `name value timestamp`, one number each.

Everything that goes to carbon is made here, so that it can't be a line that carbon refuses
(it closes the connection on some) or a name that leaves the whisper tree.
"""

import math
import re

MAX_SEGMENT = 251
"""Longest part of a name between dots, in bytes: a file system allows 255, whisper adds `.wsp`."""

MAX_NAME = 1024
"""Longest name, in bytes: leaves room for a prefix and the storage directory under Linux's 4,096."""

_LEGAL = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*").fullmatch
_WHITESPACE = re.compile(r"\s+", re.ASCII)
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.-]+")


class BadName(ValueError):  # noqa: N818 - it is the name that is bad
    """A name that can't be stored; `str()` is the reason."""


def is_legal_name(name: str) -> bool:
    """Tell whether carbon can store `name` as it stands."""
    return _LEGAL(name) is not None and len(name) <= MAX_NAME and _longest_segment(name) <= MAX_SEGMENT


def clean_name(raw: str) -> str:
    """Return `raw` as a legal name, or raise BadName.

    The rules are etsy/statsd's: white space becomes `_`, `/` becomes `-`, anything else that is not
    a letter, a digit or one of `_-.` is removed. etsy keeps `;` and `=` for Graphite's tags;
    with tags off, carbon would make directories of them, so they are removed too.
    A name that is then empty, too long, or has an empty part (`a..b`, `.a`) is refused.
    """
    if _LEGAL(raw) is None:
        raw = _FORBIDDEN.sub("", _WHITESPACE.sub("_", raw).replace("/", "-"))
        if not raw:
            raise BadName("empty name")
        if _LEGAL(raw) is None:
            raise BadName("name with an empty part")
    if len(raw) > MAX_NAME or _longest_segment(raw) > MAX_SEGMENT:
        raise BadName("name too long")
    return raw


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
