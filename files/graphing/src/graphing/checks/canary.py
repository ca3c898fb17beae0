"""A number of our own, sent as clients send theirs and followed hop by hop to where it stops.

Its value is the time at which it was sent. So each place on the way tells by its newest value how late it is, and
an aggregator that repeats a gauge at each flush deceives nobody.
"""

import json
import socket
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from graphing.checks.carbon import ROOM_REMEDY
from graphing.checks.verdict import State, Verdict
from graphing.core.line import format_line

BUCKET = "graphing.canary.event"
"""What is sent to the aggregator, as a gauge."""
LINE = "graphing.canary.line"
"""What is sent to carbon."""

_TIMEOUT = 5.0
_LONGEST = 1 << 20


@dataclass(frozen=True)
class Sighting:
    """What was seen of a canary at each hop: troubles are sentences, empty for none; times are seconds since 1970.

    A hop that is not on this host, or not on this canary's way, has no trouble.
    """

    check: str
    to: str
    """Where it is sent, for people: 8125/udp."""
    since: float
    """What was sent at this time or later must have arrived."""
    socket: str = ""
    aggregator: str = ""
    relay: str = ""
    caches: Mapping[str, str] | None = None
    """Trouble by instance; None: there is no carbon-cache on this host."""
    cached: float = 0.0
    """The newest value in a cache's memory, 0 for none."""
    closed: str = ""
    """Why the cache of this host takes no points though it runs."""
    filed: float = 0.0
    file: str = ""
    file_trouble: str = ""
    rendered: float = 0.0
    render: str = ""
    has_render: bool = True
    queued: int = 0
    """Lines that wait in the aggregator."""


def arrived(sight: Sighting) -> bool:
    """Tell whether it is everywhere that it should be: on disk, and in the answer of /render."""
    return _is_seen(sight) and (sight.caches is None or sight.filed >= sight.since)


def _is_seen(sight: Sighting) -> bool:
    """Tell whether a person would see it."""
    if sight.has_render:
        return sight.rendered >= sight.since
    if sight.caches is not None:
        return max(sight.cached, sight.filed) >= sight.since
    # Its way goes on to another host.
    return not broken(sight)


def broken(sight: Sighting) -> bool:
    """Tell whether a hop is closed, so that waiting is of no use."""
    return bool(sight.socket or sight.aggregator or sight.relay or sight.closed or any((sight.caches or {}).values()))


def judge(sight: Sighting, now: float) -> Verdict:
    """Tell whether it arrived, or at which hop it stopped."""
    if arrived(sight):
        newest = max(sight.rendered, sight.filed, sight.cached)
        age = f", {max(0.0, now - newest):.0f} s after it was sent" if newest else ""
        end = "in the graph" if sight.has_render else "in carbon" if sight.caches is not None else "in the aggregator"
        return Verdict(sight.check, State.OK, f"a number sent to {sight.to} is {end}{age}")
    hop, why, remedy = next(stop for stops_there, *stop in _hops(sight) if stops_there)
    if _is_seen(sight):
        what = f"a number sent to {sight.to} is in the graph, but not on disk: {why}"
        return Verdict(sight.check, State.WARN, what, remedy)
    return Verdict(sight.check, State.FAIL, f"a number sent to {sight.to} stops at {hop}: {why}", remedy)


def _hops(sight: Sighting) -> Iterator[tuple[object, str, str, str]]:
    """Yield the hops in their order: whether it stops there, the hop's name, why, and what to do."""
    carbon_here = sight.caches is not None
    seen = _is_seen(sight)
    if not seen:
        yield sight.socket, "socket", sight.socket, "systemctl start statsd.socket statsd.service"
        yield sight.aggregator, "aggregator", sight.aggregator, _restart("statsd")
        yield sight.relay, "relay", sight.relay, _restart("carbon-c-relay")
        yield sight.closed, "carbon", f"it accepts no points: {sight.closed}", ROOM_REMEDY
        for instance, trouble in (sight.caches or {}).items():
            unit = f"carbon-cache@{instance}"
            yield trouble, "carbon", f"{unit}: {trouble}", _restart(unit)
    in_carbon = not carbon_here or max(sight.cached, sight.filed) >= sight.since or seen
    waiting = f"{sight.queued} of its lines wait for carbon"
    yield not in_carbon and sight.queued, "aggregator", waiting, "journalctl -n 30 -u statsd -u carbon-c-relay"
    lost = "the relay received the number, but no carbon-cache has it"
    yield not in_carbon, "relay", lost, _restart("carbon-c-relay")
    holds = f"carbon holds it in memory and has not written it to {sight.file}"
    yield sight.closed and sight.filed < sight.since, "file", f"{holds}: {sight.closed}", ROOM_REMEDY
    why = sight.file_trouble or holds
    remedy = "journalctl -n 30 -u 'carbon-cache@*'; look for a full disk (df -h /var/lib/graphite) and the check cache"
    yield carbon_here and sight.filed < sight.since, "file", why, remedy
    yield sight.render, "render", sight.render, _restart("graphite-web")
    yield carbon_here, "render", "the number is in the file, but not in the answer of /render", _restart("graphite-web")
    elsewhere = "the answer of /render does not contain it"
    yield True, "store", elsewhere, "Run playbooks/doctor.yml, which asks the host that keeps the numbers too."


def _restart(unit: str) -> str:
    return f"systemctl restart {unit}; journalctl -n 30 -u {unit}"


# Sending


def send_event(port: int, now: float) -> str:
    """Send one to the aggregator; return what is wrong, or nothing."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(f"{BUCKET}:{now:.3f}|g".encode(), ("127.0.0.1", port))
    except OSError as error:
        return f"nothing can be sent to {port}/udp: {error.strerror}"
    return ""


def send_line(host: str, port: int, now: float) -> str:
    """Send one to carbon; return what is wrong, or nothing."""
    try:
        with socket.create_connection((host, port), _TIMEOUT) as out:
            out.sendall(format_line(LINE, round(now, 3), int(now)).encode())
    except OSError as error:
        return f"nothing listens for lines on {host} port {port}: {error.strerror or error}"
    return ""


# Reading


def render(where: str, series: Sequence[str]) -> tuple[dict[str, float], str]:
    """Ask for the newest values of some series; return {series: value} and what is wrong, or nothing.

    `where` is unix:PATH or http://HOST:PORT of the web application itself; nginx is another check's matter.
    """
    query = urllib.parse.urlencode(
        [*(("target", name) for name in series), ("from", "-10min"), ("format", "json"), ("noCache", "true")]
    )
    connection = _connection(where)
    try:
        connection.request("GET", f"/render?{query}", headers={"Host": "localhost"})
        answer = connection.getresponse()
        said = answer.read(_LONGEST)
        if answer.status != 200:
            return {}, f"/render answers {answer.status} {answer.reason}"
        return {each["target"]: _newest(each["datapoints"]) for each in json.loads(said)}, ""
    except (OSError, ValueError, KeyError, TypeError, HTTPException) as error:
        return {}, f"/render at {where}: {getattr(error, 'strerror', None) or error}"
    finally:
        connection.close()


def _newest(points: Sequence[Sequence[float | None]]) -> float:
    return max((value for value, _ in points if value is not None), default=0.0)


def _connection(where: str) -> HTTPConnection:
    if where.startswith("unix:"):
        return _UnixConnection(where.removeprefix("unix:"))
    return HTTPConnection(urllib.parse.urlsplit(where).netloc, timeout=_TIMEOUT)


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
