"""The commands of the management console, each an answer in pieces; the answers are those of etsy/statsd's console."""

import heapq
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, Protocol

from graphing.core.line import format_number
from graphing.statsd.model.protocol import Kind

_KINDS = (Kind.COUNTER, Kind.TIMER, Kind.GAUGE, Kind.SET)

_SLICE = 2_000
"""Buckets or values per piece of an answer."""
_LIVE_BUCKETS = 1_000

_END = "END\n\n"
_COMMANDS = (
    "Commands: stats, counters, timers, gauges, delcounters, deltimers, delgauges, health, config, quit,"
    " sets, delsets, live [PATTERN]\n\n"
)


class View(Protocol):
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


class Commands:
    """The commands by name, each a generator of its answer's pieces. Pure but for the view."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._by_name: dict[str, Callable[[list[str]], Iterator[str]]] = {
            "help": lambda _: iter([_COMMANDS]),
            "stats": self._stats,
            "config": lambda _: _config(view.config()),
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
        view = self._view
        read: dict[Kind, Callable[[], Mapping[str, Any]]] = {
            Kind.COUNTER: view.counters,
            Kind.TIMER: view.timers,
            Kind.GAUGE: view.gauges,
            Kind.SET: view.sets,
        }
        return read[kind]()

    def _stats(self, _: list[str]) -> Iterator[str]:
        yield "".join(f"{name}: {value}\n" for name, value in self._view.stats()) + _END

    def _health(self, parameters: list[str]) -> Iterator[str]:
        wanted = parameters[0].lower() if parameters else ""
        if wanted in ("up", "down"):
            self._view.health = wanted
        yield f"health: {self._view.health}\n"

    def _dump(self, kind: Kind, _: list[str]) -> Iterator[str]:
        return _gathered(_dump(self._buckets(kind)))

    def _delete(self, kind: Kind, names: list[str]) -> Iterator[str]:
        # Asked once, as it may be a copy.
        buckets = dict.fromkeys(self._buckets(kind))
        for name in names:
            is_found = False
            for bucket in _matching(buckets, name):
                del buckets[bucket]
                if self._view.delete(kind, bucket):
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
