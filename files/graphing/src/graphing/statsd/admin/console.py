"""The management console: commands in, text out, over TCP; the answers are those of etsy/statsd's console.

Anyone who reaches it may delete buckets. It shares the daemon's only thread, so nothing here waits and
long work is done in pieces: an answer is a generator, asked for its next piece when its peer has taken
the ones before and there is time left in the turn.
"""

import contextlib
import heapq
import json
import logging
import math
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, Protocol

from graphing.core.line import format_number
from graphing.core.log import RateLimitedLog
from graphing.statsd.model.protocol import Kind

_CONNECTIONS = 32
_LONGEST_LINE = 64 * 1024
_BUFFER = 256 * 1024
"""Bytes of an answer that may wait for their peer."""
_TURN_SECONDS = 0.02
_SLOW_SECONDS = 30.0
"""A peer that takes nothing of its answer for this long is dropped."""
_IDLE_SECONDS = 600.0
"""A peer that has said nothing for this long is dropped, even in the middle of an answer."""
_UNFINISHED_SECONDS = 0.5
"""A command without a newline is answered after this long, as etsy's console takes what a packet brings for a line."""
_CHECK_SECONDS = 0.1

_KINDS = (Kind.COUNTER, Kind.TIMER, Kind.GAUGE, Kind.SET)

_SLICE = 2_000
"""Buckets or values per piece of an answer."""
_LIVE_BUCKETS = 1_000

_END = "END\n\n"
_COMMANDS = (
    "Commands: stats, counters, timers, gauges, delcounters, deltimers, delgauges, health, config, quit,"
    " sets, delsets, live [PATTERN]\n\n"
)

_log = logging.getLogger(__name__)


class Subject(Protocol):
    """What the console shows and changes. The dicts are those of the interval in progress, and may be the live ones."""

    health: str
    """`up` or `down`."""

    def counters(self) -> dict[str, float]:
        """Return the sum of each counter."""

    def timers(self) -> dict[str, list[float]]:
        """Return the values of each timer."""

    def gauges(self) -> dict[str, float]:
        """Return the value of each gauge."""

    def sets(self) -> dict[str, set[str]]:
        """Return the members of each set."""

    def delete(self, kind: Kind, bucket: str) -> bool:
        """Forget a bucket; return False if there is none."""

    def stats(self) -> Iterable[tuple[str, str]]:
        """Return the name and the value of each line of `stats`; clients read the values as numbers."""

    def config(self) -> dict[str, Any]:
        """Return the settings, by table and key."""


class Console:
    """The listener and its connections."""

    def __init__(self, listener: socket.socket, subject: Subject, clock: Callable[[], float] = time.monotonic) -> None:
        self._listener = listener
        self._commands = _Commands(subject)
        self._clock = clock
        self._next_check = clock()
        self._connections: dict[int, _Connection] = {}
        self._active: deque[_Connection] = deque()
        """Those that can go on, in the order of their turns."""
        self._complain = RateLimitedLog(_log, logging.WARNING, 60.0)
        listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)

    def turn(self) -> None:
        """Do what there is to do for a few milliseconds; never waits, never raises on what a peer does."""
        for fd, event in self._epoll.poll(0):
            if fd == self._listener.fileno():
                self._accept()
            elif event & (select.EPOLLERR | select.EPOLLHUP):
                # Both directions are gone: nobody is there to read on.
                self._forget(self._connections[fd])
            else:
                self._wake(self._connections[fd], event)
        if self._clock() >= self._next_check:
            self._check()
        self._work()

    def close(self) -> None:
        """Close the listener and all connections."""
        for connection in list(self._connections.values()):
            self._forget(connection)
        self._epoll.close()
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(_CONNECTIONS):
            try:
                connected, _ = self._listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                self._complain("a connection to the console can't be accepted: %s", error.strerror)
                return
            connected.setblocking(False)
            if len(self._connections) >= _CONNECTIONS:
                _refuse(connected)
                continue
            self._connections[connected.fileno()] = _Connection(connected, self._clock())
            self._epoll.register(connected.fileno(), select.EPOLLIN)

    def _wake(self, connection: "_Connection", event: int) -> None:
        if connection in self._active:
            # Its turn is still to come; until then it may not say more.
            return
        try:
            if event & select.EPOLLIN:
                connection.read(self._clock())
        except OSError:
            self._forget(connection)
            return
        self._active.append(connection)

    def _work(self) -> None:
        """Let the active connections take turns, a piece each."""
        end = time.monotonic() + _TURN_SECONDS
        while self._active and time.monotonic() < end:
            connection = self._active.popleft()
            try:
                waits_for = connection.step(self._commands.answer, self._clock())
            except OSError:
                self._forget(connection)
                continue
            if waits_for == _DONE:
                self._forget(connection)
                continue
            if waits_for == _NOTHING:
                self._active.append(connection)
            if waits_for != connection.registered:
                # An event that is of no use now would be reported again and again.
                self._epoll.modify(connection.socket.fileno(), waits_for)
                connection.registered = waits_for

    def _check(self) -> None:
        """Look after the connections that wait."""
        now = self._clock()
        self._next_check = now + _CHECK_SECONDS
        for connection in list(self._connections.values()):
            if connection.is_overdue(now):
                self._forget(connection)
            elif connection not in self._active and connection.take_unfinished(now):
                self._active.append(connection)

    def _forget(self, connection: "_Connection") -> None:
        self._epoll.unregister(connection.socket.fileno())
        del self._connections[connection.socket.fileno()]
        with contextlib.suppress(ValueError):
            self._active.remove(connection)
        connection.socket.close()


def _refuse(connected: socket.socket) -> None:
    with contextlib.suppress(OSError), connected:
        connected.send(b"ERROR: too many connections\n")
        # Closing with something unread would be a reset, which can overtake the message.
        connected.recv(_LONGEST_LINE)


_DONE = -1
_NOTHING = 0


class _Connection:
    """One peer: what it said, the answer under way, and what of it waits to be sent."""

    def __init__(self, connected: socket.socket, now: float) -> None:
        self.socket = connected
        self.registered = int(select.EPOLLIN)
        self._input = bytearray()
        self._output = bytearray()
        self._answer: Iterator[str] | None = None
        self._ended = False
        self._quits = False
        self._heard = now
        self._moved = now

    def read(self, now: float) -> None:
        data = self.socket.recv(_LONGEST_LINE)
        self._heard = now
        self._input += data
        if not data:
            self._ended = True
            # A last command without a newline.
            self._finish_input()

    def step(self, answer: Callable[[str], Iterator[str] | None], now: float) -> int:
        """Go on by a piece; return what to wait for: an event of epoll, _NOTHING or _DONE."""
        if self._answer is None and not self._quits:
            self._begin(answer)
        if self._answer is not None and len(self._output) < _BUFFER:
            piece = next(self._answer, None)
            if piece is None:
                self._answer = None
            else:
                self._output += piece.encode("utf-8", "surrogateescape")
                self._moved = now
                if len(self._output) < _BUFFER // 4:
                    return _NOTHING
        if self._output and not self._send(now):
            return int(select.EPOLLOUT)
        if self._answer is not None or (b"\n" in self._input and not self._quits):
            return _NOTHING
        return _DONE if self._ended or self._quits else int(select.EPOLLIN)

    def _begin(self, answer: Callable[[str], Iterator[str] | None]) -> None:
        """Take the next command."""
        length = self._input.find(b"\n")
        if length < 0:
            if len(self._input) > _LONGEST_LINE:
                self._answer = iter(["ERROR: line too long\n"])
                self._quits = True
            return
        line = self._input[:length].decode("utf-8", "surrogateescape")
        del self._input[: length + 1]
        if self._input[:1].isspace():
            # What follows a command in one packet is cut off by etsy's console too: its own health check
            # sends an empty line after the command and wants one answer.
            self._input = self._input.lstrip()
        self._answer = answer(line)
        self._quits = self._answer is None

    def _send(self, now: float) -> bool:
        """Send what the kernel takes; return whether that was all."""
        with contextlib.suppress(BlockingIOError):
            sent = self.socket.send(self._output)
            del self._output[:sent]
            self._moved = now
        return not self._output

    def take_unfinished(self, now: float) -> bool:
        """Tell whether a command without a newline is ready to be answered.

        One with parameters is not: half a name would delete the wrong bucket.
        """
        waits = bool(self._input) and self._answer is None and now - self._heard >= _UNFINISHED_SECONDS
        if not waits or b"\n" in self._input or b" " in self._input.strip():
            return False
        self._finish_input()
        return True

    def _finish_input(self) -> None:
        if self._input and not self._input.endswith(b"\n"):
            self._input += b"\n"

    def is_overdue(self, now: float) -> bool:
        slow = bool(self._output) and now - self._moved >= _SLOW_SECONDS
        return slow or now - self._heard >= _IDLE_SECONDS


class _Commands:
    """The commands by name, each a generator of its answer's pieces. Pure but for the subject."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._by_name: dict[str, Callable[[list[str]], Iterator[str]]] = {
            "help": lambda _: iter([_COMMANDS]),
            "stats": self._stats,
            "config": lambda _: _config(subject.config()),
            "health": self._health,
            "live": self._live,
        }
        for kind in _KINDS:
            self._by_name[kind] = partial(self._dump, kind)
            self._by_name[f"del{kind}"] = partial(self._delete, kind)

    def answer(self, line: str) -> Iterator[str] | None:
        """Return the answer to a line; None for `quit`."""
        name, *parameters = line.strip().split(" ")
        if name == "quit":
            return None
        command = self._by_name.get(name)
        return command(parameters) if command else iter(["ERROR\n"])

    def _buckets(self, kind: Kind) -> Mapping[str, Any]:
        subject = self._subject
        read: dict[Kind, Callable[[], Mapping[str, Any]]] = {
            Kind.COUNTER: subject.counters,
            Kind.TIMER: subject.timers,
            Kind.GAUGE: subject.gauges,
            Kind.SET: subject.sets,
        }
        return read[kind]()

    def _stats(self, _: list[str]) -> Iterator[str]:
        yield "".join(f"{name}: {value}\n" for name, value in self._subject.stats()) + _END

    def _health(self, parameters: list[str]) -> Iterator[str]:
        wanted = parameters[0].lower() if parameters else ""
        if wanted in ("up", "down"):
            self._subject.health = wanted
        yield f"health: {self._subject.health}\n"

    def _dump(self, kind: Kind, _: list[str]) -> Iterator[str]:
        return _gathered(_dump(self._buckets(kind)))

    def _delete(self, kind: Kind, names: list[str]) -> Iterator[str]:
        # Asked once, as it may be a copy.
        buckets = dict.fromkeys(self._buckets(kind))
        for name in names:
            is_found = False
            for bucket in _matching(buckets, name):
                del buckets[bucket]
                if self._subject.delete(kind, bucket):
                    is_found = True
                    yield f"deleted: {bucket}\n"
            if not is_found:
                yield f"metric {name} not found\n"
        yield _END

    def _live(self, parameters: list[str]) -> Iterator[str]:
        pattern = " ".join(parameters)
        buckets = {kind: self._buckets(kind) for kind in _KINDS}
        busiest: list[tuple[float, str, Kind]] = []
        for kind in _KINDS:
            for some in _slices(list(buckets[kind])):
                found = _found(kind, buckets[kind], pattern, some)
                busiest = heapq.nlargest(_LIVE_BUCKETS, (*busiest, *found))
                yield ""
        shown: dict[str, str] = {}
        for _, name, kind in busiest:
            # Where buckets of two kinds share a name, the busier one is shown.
            if name in buckets[kind] and name not in shown:
                values = [json.dumps(kind), *_summary(kind, buckets[kind][name])]
                shown[name] = f"{json.dumps(name)}: [{', '.join(values)}]"
                # The mean of a timer with very many values takes long enough for a turn.
                yield ""
        yield f"{{{', '.join(shown.values())}}}\n{_END}"


def _found(kind: Kind, buckets: Mapping[str, Any], pattern: str, names: list[str]) -> Iterator[tuple[float, str, Kind]]:
    """Yield the buckets of that pattern, each with how much came in."""
    for name in names:
        if pattern in name and name in buckets:
            yield _activity(kind, buckets[name]), name, kind


def _matching(buckets: Mapping[str, Any], name: str) -> list[str]:
    """Return the bucket of that name; for `folder.*` the buckets below the folder too."""
    found = [name] if name in buckets else []
    if name.endswith(".*"):
        found += [bucket for bucket in buckets if bucket.startswith(name[:-1]) and bucket != name]
    return found


def _dump(buckets: Mapping[str, Any]) -> Iterator[str]:
    """Yield a JSON object, a bucket a line: clients count the lines.

    Buckets that come while it is sent are left out, and values may be newer than the command.
    """
    separator = "{\n"
    for some in _slices(list(buckets)):
        for name in some:
            if name not in buckets:
                continue
            yield f"{separator}  {json.dumps(name)}: "
            separator = ",\n"
            yield from _json(buckets[name])
    yield "{}\n" if separator == "{\n" else "\n}\n"
    yield _END


def _gathered(pieces: Iterable[str], size: int = 32 * 1024) -> Iterator[str]:
    """Yield larger pieces: a turn's bookkeeping costs more than a bucket's text."""
    parts: list[str] = []
    length = 0
    for piece in pieces:
        parts.append(piece)
        length += len(piece)
        if length >= size:
            yield "".join(parts)
            parts.clear()
            length = 0
    yield "".join(parts)


def _json(value: float | list[float] | set[str]) -> Iterator[str]:
    """Yield the value of a bucket in pieces: a timer may have very many numbers."""
    if isinstance(value, int | float):
        yield _number(value)
        return
    separator = "["
    for some in _slices(list(value)):
        yield separator + ", ".join(json.dumps(each) if isinstance(each, str) else _number(each) for each in some)
        separator = ", "
    yield "[]" if separator == "[" else "]"


def _activity(kind: Kind, value: Any) -> float:
    """Return how much has come in; nobody counts that for gauges, but they are more than an idle counter."""
    if kind is Kind.COUNTER:
        return abs(float(value))
    return 0.5 if kind is Kind.GAUGE else float(len(value))


def _summary(kind: Kind, value: Any) -> list[str]:
    if kind is Kind.TIMER:
        return [str(len(value)), _number(sum(value) / len(value) if value else 0.0)]
    return [str(len(value))] if kind is Kind.SET else [_number(value)]


def _number(value: float) -> str:
    # JSON has no infinity, which sums can reach.
    return format_number(value) if math.isfinite(value) else "null"


def _config(settings: Mapping[str, Any]) -> Iterator[str]:
    lines = [""]
    for table, value in settings.items():
        if isinstance(value, Mapping):
            lines += [f"{table} > {key}: {_setting(each)}" for key, each in value.items()]
        elif isinstance(value, list | tuple):
            lines += [f"{table} > {index}: {_setting(each)}" for index, each in enumerate(value)]
        else:
            lines.append(f"{table}: {_setting(value)}")
    yield "\n".join([*lines, ""])


def _setting(value: Any) -> str:
    if isinstance(value, list | tuple) and not any(isinstance(each, Mapping) for each in value):
        return ",".join(map(_setting, value))
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _slices(items: Iterable[Any], size: int = _SLICE) -> Iterator[list[Any]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
