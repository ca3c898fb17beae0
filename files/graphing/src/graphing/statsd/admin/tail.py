"""The buckets of a running aggregator, live in a terminal: `graphing statsd tail`. A client of `console`."""

import itertools
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TextIO

_PERIOD = 1.0
_TIMEOUT = 10.0
_LONGEST_ANSWER = 16 * 1024 * 1024
_END = b"END\n\n"

# The other screen of the terminal and no cursor, and back: what was there before is there again.
_ENTER = "\x1b[?1049h\x1b[?25l"
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME = "\x1b[H"
_CLEAR_LINE = "\x1b[K"
_CLEAR_BELOW = "\x1b[J"

_HEADER = f"{'change/s':>12}  {'value':>12}  {'mean':>12}  {'kind':<8}  bucket"


class Bucket(NamedTuple):
    """A bucket in the interval in progress."""

    kind: str
    value: float
    """A counter's sum, a timer's number of values, a gauge's value or a set's size."""
    mean: float | None = None
    """Of a timer's values."""
    rate: float | None = None
    """Change of the value per second; None if it was not there before."""


def run(host: str, port: int, pattern: str, seconds: float, out: TextIO) -> int:
    """Show buckets whose name contains `pattern` for that many seconds (0: until Ctrl-C); return the exit code.

    At least twice, however short the time: a change is seen between two looks.
    """
    try:
        with socket.create_connection((host, port), _TIMEOUT) as console:
            _watch(console, pattern, seconds, out)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # `tail | head`: nobody reads on. Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        return 0
    except (OSError, ValueError) as error:
        print(f"no StatsD console answers on {host} port {port}: {error}", file=sys.stderr)
        return 1
    return 0


def _watch(console: socket.socket, pattern: str, seconds: float, out: TextIO) -> None:
    screen = out.isatty()
    began = seen = time.monotonic()
    buckets: dict[str, Bucket] = {}
    try:
        if screen:
            out.write(_ENTER)
        for looks in itertools.count(1):
            found = _ask(console, pattern)
            now = time.monotonic()
            buckets = with_rates(buckets, found, now - seen)
            seen = now
            rows = table(buckets)
            out.write(_drawn(rows, *_size(out)) if screen else "\n".join([*rows, "", ""]))
            out.flush()
            left = began + seconds - now if seconds else _PERIOD
            if left <= 0 and looks > 1:
                return
            time.sleep(max(0.0, min(_PERIOD, left)))
    finally:
        if screen:
            out.write(_LEAVE)
            out.flush()


def _ask(console: socket.socket, pattern: str) -> dict[str, Bucket]:
    """Return what the console shows now; raise OSError or ValueError if it doesn't."""
    # A newline would be a second command; no bucket's name has a blank in it.
    console.sendall(f"live {' '.join(pattern.split())}\n".encode())
    answer = bytearray()
    while not answer.endswith(_END):
        data = console.recv(65536)
        if not data:
            raise OSError("it closed the connection")
        answer += data
        if answer == b"ERROR\n" or len(answer) > _LONGEST_ANSWER:
            raise ValueError("it is another server: it doesn't know `live`")
    return _read(json.loads(answer[: -len(_END)]))


def _read(answer: object) -> dict[str, Bucket]:
    try:
        return {_plain(name): _bucket(*values) for name, values in answer.items()}  # type: ignore[attr-defined]  # whatever it is, see below
    except (AttributeError, TypeError) as error:
        raise ValueError("its answer makes no sense") from error


def _bucket(kind: str, value: float | None, mean: float | None = None) -> Bucket:
    # null: a sum beyond all numbers.
    number = float("inf") if value is None else float(value)
    return Bucket(_plain(kind), number, None if mean is None else float(mean))


def _plain(text: str) -> str:
    """Return a text that does nothing to a terminal, whoever may listen on that port."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in text)


def with_rates(before: Mapping[str, Bucket], now: Mapping[str, Bucket], seconds: float) -> dict[str, Bucket]:
    """Return the buckets of `now` with how fast each changes since `before`, that many seconds ago. Pure."""
    return {
        name: bucket._replace(rate=_rate(before.get(name), bucket, seconds)) if seconds > 0 else bucket
        for name, bucket in now.items()
    }


def _rate(before: Bucket | None, now: Bucket, seconds: float) -> float | None:
    if before is None or before.kind != now.kind:
        return None
    change = now.value - before.value
    if now.kind == "gauges":
        # It falls as well as it rises, and an interval's end changes nothing.
        return abs(change) / seconds
    # A drop is the end of an interval. How much came before it is unknown: the earlier rate is the best guess.
    return change / seconds if change >= 0 else before.rate


def table(buckets: Mapping[str, Bucket]) -> list[str]:
    """Return the lines of the table, the busiest bucket first. Pure."""

    def busiest(item: tuple[str, Bucket]) -> tuple[float, float, str]:
        name, bucket = item
        return -(bucket.rate or 0.0), -abs(bucket.value) if bucket.kind != "gauges" else 0.0, name

    return [_HEADER, *(_row(name, bucket) for name, bucket in sorted(buckets.items(), key=busiest))]


def _row(name: str, bucket: Bucket) -> str:
    columns = (_number(each) for each in (bucket.rate, bucket.value, bucket.mean))
    return "  ".join([*(f"{column:>12}" for column in columns), f"{bucket.kind:<8}", name])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _drawn(rows: Iterable[str], width: int, height: int) -> str:
    """Return the text that puts as many rows as fit over what the terminal shows."""
    # Cleared before it is written: after a row of full width, clearing would take its last character.
    visible = [_CLEAR_LINE + row[:width] for row in list(rows)[:height]]
    if len(visible) < height:
        visible.append(_CLEAR_BELOW)
    return _HOME + "\n".join(visible)


def _size(out: TextIO) -> tuple[int, int]:
    try:
        size = os.get_terminal_size(out.fileno())
    except OSError:
        return 80, 24
    # Some terminals say 0 when they don't know.
    return size.columns or 80, size.lines or 24
