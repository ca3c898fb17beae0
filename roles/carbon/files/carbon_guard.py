#!/usr/bin/python3
"""carbon-cache, guarded: Debian's program, with what it would otherwise lose kept or counted.

Run instead of /usr/bin/carbon-cache, with the same arguments. Carbon takes a point out of its cache before it writes
it, drops what it may not create yet, closes a connection at a line it cannot read, and takes points of any date. Here,

- while the disk has less than DISK_RESERVE_BYTES free or refuses a write, nothing is taken out of the cache, and the
  door is closed: no connection is taken and none is read, so that the relay queues. Connections that only watch end:
  the aggregator's does, and later it sends again what may have been lost since;
- a point whose write fails goes back into the cache if the disk is at fault, and is counted if the file is;
- a new series for which MAX_CREATES_PER_MINUTE has no room waits in the cache;
- a new file appears whole: a graph that is asked for while it is being made would fail, with all the others in it;
- a file that is shorter than its header says, or has none, is set aside as .corrupt, and a new one is made;
- a line that is none, has tags where these are off or a name that nobody could ask for, or is dated more than
  FUTURE_SECONDS ahead or before the longest retention, is refused, and the connection goes on;
- a sender whose connection broke may have lost lines with it (carbon-c-relay gives one up after ten seconds, and what
  was under way in it): connections that only watch end, so that the aggregator sends again;
- a stop reads what has come, then breaks the connections, so that the relay keeps what it sends next: after an end in
  order its next write would go nowhere. What came in the last second is written too.

Each is named in the log and counted below carbon.agents.INSTANCE, see `Counted`. Written for carbon 1.1.7 and 1.1.10;
with one that is made otherwise it does not start.
"""

import contextlib
import errno
import math
import os
import re
import select
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

WHOLE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""What a write fails with where the disk, not the file, is at fault."""

RETRY_SECONDS = 5.0
"""After a write that the disk refused."""

UNFIT = re.compile(r"""[^!-~]|[/*?\[\]{}(),'"|\\<>]""").search
"""Finds what no name can hold: a slash cannot be in that of a file, the others mean something in a target of
graphite-web, whose grammar has ASCII alone, or are taken for HTML by its pages."""

LONGEST_LINE = 16384
LONGEST_PART = 251
"""Bytes of a part of a name: with .wsp it is the name of a file."""

COMPLAINT_SECONDS = 10.0
TELL_SECONDS = 60.0
"""How far apart watchers are told that lines may be lost: each time, minutes of them come again."""

LAST_READ_SECONDS = 2.0
"""For how long a stop reads what one sender has sent."""

STOP_SECONDS = 240.0
"""For how long a stop writes what the cache holds; the unit's timeout is longer."""

_HEADER, _ARCHIVE = struct.Struct("!2LfL"), struct.Struct("!3L")
_POINT_BYTES = 12
_METHODS, _MOST_ARCHIVES = range(1, 9), 64


class Refused(ValueError):  # noqa: N818 - what became of a line
    """A line that is not taken: `kind` is how it is counted, str() is why."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


class Point(NamedTuple):
    """A line: the series' name, seconds since 1970 and the value."""

    metric: str
    timestamp: float
    value: float


def parse(line: bytes) -> Point:
    """Read `NAME VALUE TIMESTAMP`; of the name, all is checked but its tags. Raises Refused."""
    if len(line) > LONGEST_LINE:
        raise Refused("malformed", f"longer than {LONGEST_LINE} bytes")
    try:
        metric, value, timestamp = line.decode("utf-8").split()
        point = Point(metric, float(timestamp), float(value))
    except UnicodeDecodeError:
        raise Refused("malformed", "not UTF-8") from None
    except ValueError:
        raise Refused("malformed", "not NAME VALUE TIMESTAMP") from None
    if not math.isfinite(point.value) or not math.isfinite(point.timestamp):
        raise Refused("malformed", "not a finite number")
    if not metric.isprintable():
        raise Refused("malformed", "a name with characters that cannot be shown")
    check_name(metric.split(";")[0])
    return point


def check_name(name: str) -> None:
    """Refuse a name, without its tags, under which its series could not be stored or not be found."""
    unfit = UNFIT(name)
    if unfit:
        raise Refused("malformed", f"{unfit[0]} in a name, by which graphite-web could not find it")
    if name.startswith("~"):
        raise Refused("malformed", "a name that begins with ~, which carbon would leave out")
    if any(not 1 <= len(part) <= LONGEST_PART for part in name.split(".")):
        raise Refused("malformed", f"a part of the name is empty or longer than {LONGEST_PART} bytes")


def refuse_tags(metric: str) -> None:
    """Refuse tags where they are off: carbon would store the series under a hash, of which nothing keeps the name."""
    if ";" in metric:
        raise Refused("tagged", "tags are off: set carbon_tags: true, or send the name without them")


def tags_by(read: Callable[[str], Any]) -> Callable[[str], None]:
    """Return a check that refuses tags which carbon's own reader would not take, or would make another name of."""

    def check(metric: str) -> None:
        if ";" not in metric:
            return
        try:
            stored = read(metric).path
        except Exception as error:  # Exception itself is what carbon raises
            raise Refused("malformed", f"tags that carbon does not take: {error}") from None
        if set(stored.split(";")) != set(metric.split(";")):
            raise Refused("malformed", f"tags of which carbon would make {stored}")

    return check


def check_time(timestamp: float, now: float, future_seconds: float, longest_seconds: float) -> None:
    """Refuse a point from the future, which would take the place of a live one, or from before all retentions."""
    if timestamp > now + future_seconds:
        raise Refused("future", f"dated {timestamp - now:.0f} s ahead")
    if timestamp <= now - longest_seconds and timestamp != -1:
        # -1 stands for now.
        raise Refused("old", f"dated {now - timestamp:.0f} s back, longer than anything is kept")


def whisper_bytes(start: bytes) -> int:
    """Return how long a whisper file must be that starts so. Raises ValueError if none does."""
    if len(start) < _HEADER.size:
        raise ValueError("it has no header")
    method, retention, x_files_factor, archives = _HEADER.unpack_from(start)
    if method not in _METHODS or not 0 <= x_files_factor <= 1 or not 1 <= archives <= _MOST_ARCHIVES:
        raise ValueError("its header is none of whisper's")
    end = _HEADER.size + archives * _ARCHIVE.size
    if len(start) < end:
        raise ValueError("it is shorter than its header")
    longest = 0
    for number in range(archives):
        offset, step, points = _ARCHIVE.unpack_from(start, _HEADER.size + number * _ARCHIVE.size)
        if offset != end or not step or not points:
            raise ValueError("its header is none of whisper's")
        longest = max(longest, step * points)
        end += points * _POINT_BYTES
    if longest != retention:
        raise ValueError("its header is none of whisper's")
    return int(end)


def damage(path: str) -> str | None:
    """Return what is wrong with a whisper file as a whole, if anything. Raises OSError if it cannot be read."""
    with open(path, "rb") as file:
        start = file.read(_HEADER.size + _MOST_ARCHIVES * _ARCHIVE.size)
        size = os.fstat(file.fileno()).st_size
    try:
        wanted = whisper_bytes(start)
    except ValueError as error:
        return str(error)
    return None if size >= wanted else f"it has {size:,} of {wanted:,} bytes"


def create_whole(create: Callable[..., None], scratch: str) -> Callable[..., None]:
    """Return whisper's create, made to write to a file named `scratch` in the same folder and then to rename it."""

    def whole(path: str, *rest: Any) -> None:
        if os.path.exists(path):
            # Which whisper refuses.
            create(path, *rest)
            return
        unfinished = os.path.join(os.path.dirname(path), scratch)
        # Of a process that was killed.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)
        create(unfinished, *rest)
        os.rename(unfinished, path)

    return whole


@dataclass
class Counted:
    """What happened since the start; `refused_future` is told as carbon.agents.INSTANCE.refused.future.count."""

    refused_malformed: int = 0
    """Lines."""
    refused_tagged: int = 0
    """Lines with tags, where these are off."""
    refused_future: int = 0
    refused_old: int = 0
    files_corrupt: int = 0
    """Files set aside."""
    points_kept: int = 0
    """Points that went back into the cache when they could not be written."""
    points_lost: int = 0
    """Points whose file could not be written or created."""


class Complaints:
    """A log that says each kind of thing at most once in some seconds, with how many it did not say."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def __call__(self, kind: str, text: str) -> None:
        """Say it, or count it."""
        now = time.monotonic()
        if now - self._said.get(kind, -math.inf) < COMPLAINT_SECONDS:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        more = self._unsaid.pop(kind, 0)
        self._said[kind] = now
        self._say(f"guard: {text}" + (f" (and {more} more before)" if more else ""))


class Disk:
    """Whether the disk of a folder can take more. Used by two threads; each sets single values only."""

    def __init__(self, folder: str, reserve: int) -> None:
        self._folder, self.reserve = folder, reserve
        self._short = False
        self._refused = False
        self._retry = 0.0

    def free(self) -> int:
        """Return the bytes that are free."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def may_write(self) -> bool:
        """Tell whether a write may be tried."""
        # A little more than the reserve, to begin again: a door that flaps helps nobody.
        self._short = self.free() < self.reserve * (1.1 if self._short else 1)
        return not self._short and time.monotonic() >= self._retry

    def is_well(self) -> bool:
        """Tell whether writes may be tried and the last one was taken."""
        return self.may_write() and not self._refused

    def refused(self) -> None:
        """Note that it did not take a write."""
        self._refused, self._retry = True, time.monotonic() + RETRY_SECONDS

    def took(self) -> None:
        """Note that it took a write."""
        self._refused = False


class Store:
    """What is between carbon's cache and its files: which series is next, and what becomes of a write that fails.

    Its methods take the place of those of the cache, of its strategy and of the database; the writer's thread calls
    them.
    """

    def __init__(self, cache: Any, database: Any, disk: Disk, counted: Counted, complain: Complaints) -> None:
        self.cache, self._database, self.disk = cache, database, disk
        self._counted, self._complain = counted, complain
        self._choose, self._drain = cache.strategy.choose_item, cache.drain_metric
        self._exists, self._create, self._write = database.exists, database.create, database.write
        self._taken: tuple[str | None, Any] = (None, [])
        self._sizes: set[int] = set()
        """Sizes that whole files have; there are as many as retentions."""
        self.may_create: Callable[[], bool] = lambda: True
        self.waiting = 0
        """New series that were left in the cache since this was last set to 0."""

    def put(self) -> None:
        """Take the place of carbon's own methods."""
        self.cache.strategy.choose_item, self.cache.drain_metric = self.choose_item, self.drain_metric
        self._database.exists, self._database.create, self._database.write = self.exists, self.create, self.write

    def choose_item(self) -> str | None:
        """Return the series to write next; None if none may be written. The cache is locked meanwhile."""
        if not self.disk.may_write():
            return None
        waiting = 0
        for _ in range(len(self.cache)):
            metric: str | None = self._choose()
            if metric is None or self.exists(metric) or self.may_create():
                return metric
            waiting += 1
        self.waiting = waiting
        return None

    def drain_metric(self) -> tuple[str | None, Any]:
        """Take a series out of the cache, and remember it in case that it must go back."""
        self._taken = self._drain()
        return self._taken

    def exists(self, metric: str) -> bool:
        """Tell whether a series has a file; one that is not whole is set aside."""
        path = self._database.getFilesystemPath(metric)
        try:
            size = os.stat(path).st_size
        except (OSError, ValueError):
            return bool(self._exists(metric))
        return size in self._sizes or self._is_whole(path, size)

    def create(self, metric: str, *rest: Any) -> None:
        """Create the file of a series."""
        try:
            # Carbon goes on when this fails, and then fails with another error than that.
            os.makedirs(os.path.dirname(self._database.getFilesystemPath(metric)), exist_ok=True)
            self._create(metric, *rest)
        except Exception as error:
            self._failed(error)
            raise

    def write(self, metric: str, points: Any) -> None:
        """Write points to the file of a series."""
        try:
            self._write(metric, points)
        except FileNotFoundError:
            # Removed since it was looked for; the next time it is made.
            self._put_back()
            raise
        except OSError as error:
            self._failed(error)
            raise
        except Exception as error:
            path = self._database.getFilesystemPath(metric)
            if self._is_whole(path, os.path.getsize(path)):
                self._failed(error)
            else:
                self._put_back()
            raise
        self.disk.took()

    def _is_whole(self, path: str, size: int) -> bool:
        """Tell whether a file is whole, or cannot be set aside."""
        try:
            broken = damage(path)
        except OSError:
            # The write will tell.
            return True
        if broken:
            return not self._set_aside(path, broken)
        self._sizes.add(size)
        return True

    def _put_back(self) -> None:
        """Put into the cache again what was taken last, except where something newer is there."""
        metric, points = self._taken
        with self.cache.lock:
            held = self.cache[metric]
            for timestamp, value in points:
                if timestamp not in held:
                    held[timestamp] = value
                    self.cache.size += 1
        self._counted.points_kept += len(points)

    def _failed(self, error: Exception) -> None:
        metric, points = self._taken
        if isinstance(error, OSError) and error.errno in WHOLE_DISK:
            self._put_back()
            self.disk.refused()
            self._complain("disk", f"the disk refused a write ({error.strerror}); the points wait in the cache")
        else:
            self._counted.points_lost += len(points)
            self._complain("lost", f"{len(points)} points of {metric} are lost: {error!r}")

    def _set_aside(self, path: str, why: str) -> bool:
        """Rename a broken file; return whether that could be done."""
        aside = f"{path}.corrupt"
        try:
            os.replace(path, aside)
        except OSError as error:
            self._complain("aside", f"{path} is broken ({why}) and cannot be set aside: {error.strerror}")
            return False
        self._counted.files_corrupt += 1
        # Each is named: somebody may want to know what was in it.
        self._complain(path, f"{path} is broken ({why}): set aside as {aside}; its series begins anew")
        return True


class Door:
    """The listeners and connections by which points come in. Used by the reactor's thread."""

    def __init__(self, protocols: Any, state: Any, call_later: Callable[..., Any]) -> None:
        self._state, self._call_later = state, call_later
        self._services: list[Any] = []
        self.is_open = True
        self._told = -math.inf
        self._telling = False
        self._start = protocols.CarbonService.startService
        stop = protocols.CarbonService.stopService
        lost = protocols.MetricReceiver.connectionLost

        def start_service(service: Any) -> None:
            self._services.append(service)
            if self.is_open:
                self._start(service)

        def stop_service(service: Any) -> None:
            if self.is_open:
                stop(service)

        def connection_lost(receiver: Any, reason: Any) -> None:
            lost(receiver, reason)
            if has_sent(receiver) and not reason.check(protocols.ConnectionDone):
                self._tell_soon()

        protocols.MetricReceiver.connectionLost = connection_lost
        protocols.CarbonService.startService = start_service
        protocols.CarbonService.stopService = stop_service

    def close(self) -> None:
        """Take no connection any more, and read none: what was sent on one is kept by the kernel."""
        self.is_open = False
        for service in self._services:
            self._state.listeningPorts.remove(service._port)
            service._port.stopListening()
        for receiver in list(self._state.connectedMetricReceiverProtocols):
            if has_sent(receiver):
                receiver.transport.pauseProducing()
        self._tell()

    def open(self) -> None:
        """Take connections again, and read those that are left."""
        self.is_open = True
        for service in self._services:
            self._start(service)
        if not self._state.metricReceiversPaused:
            for receiver in self._state.connectedMetricReceiverProtocols:
                receiver.transport.resumeProducing()

    def leave(self) -> None:
        """Read what has come, and break every connection: a sender that is told so keeps what it sends next."""
        if self.is_open:
            for service in self._services:
                self._state.listeningPorts.remove(service._port)
                service._port.stopListening()
        # Nobody needs to be told: all are.
        self._telling = True
        for receiver in list(self._state.connectedMetricReceiverProtocols):
            if self.is_open:
                read_rest(receiver.transport)
            receiver.transport.abortConnection()
        self.is_open = False

    def _tell_soon(self) -> None:
        if not self._telling:
            self._telling = True
            self._call_later(max(0.0, self._told + TELL_SECONDS - time.monotonic()), self._tell)

    def _tell(self) -> None:
        """End the connections of those who only watch."""
        self._telling, self._told = False, time.monotonic()
        for receiver in list(self._state.connectedMetricReceiverProtocols):
            if not has_sent(receiver):
                receiver.transport.loseConnection()


def read_rest(transport: Any) -> None:
    """Read what a sender has sent already."""
    end = time.monotonic() + LAST_READ_SECONDS
    while select.select([transport], [], [], 0)[0] and time.monotonic() < end:
        if transport.doRead() is not None:
            return


def has_sent(receiver: Any) -> bool:
    """Tell whether a line has come on a connection; on one that is watched only, none ever does."""
    return getattr(receiver, "has_sent_lines", False)


def guard_lines(receiver: Any, check: Callable[[Point], None], counted: Counted, complain: Complaints) -> None:
    """Let a receiver refuse lines without an end of its connection; `check` raises Refused."""

    def line_received(self: Any, line: bytes) -> None:
        self.has_sent_lines = True
        try:
            point = parse(line)
            check(point)
        except Refused as refused:
            name = f"refused_{refused.kind}"
            setattr(counted, name, getattr(counted, name) + 1)
            complain(name, f"line from {self.peerName} refused, {refused}: {line[:200]!r}")
            return
        self.metricReceived(point.metric, (point.timestamp, point.value))

    receiver.lineReceived = line_received
    # Beyond this the connection ends, as nothing is known of what it sends; what is shorter is for `parse` to refuse.
    receiver.MAX_LENGTH = 64 * LONGEST_LINE


def longest_retention(schemas: list[Any]) -> float:
    """Return for how many seconds the longest retention keeps points."""
    return float(max(archive.secondsPerPoint * archive.points for schema in schemas for archive in schema.archives))


class Recorder:
    """What the guard tells about itself, as metrics beside carbon's own."""

    def __init__(self, counted: Counted, door: Door, store: Store) -> None:
        self._counted, self._door, self._store = counted, door, store
        self._before = Counted()

    def turn(self) -> Iterator[tuple[str, float]]:
        """Yield names and numbers since the last turn."""
        for field in fields(Counted):
            now = getattr(self._counted, field.name)
            yield field.name.replace("_", ".", 1) + ".count", now - getattr(self._before, field.name)
            setattr(self._before, field.name, now)
        yield "disk.free_bytes", self._store.disk.free()
        yield "door.open", int(self._door.is_open)
        yield "creates.waiting", self._store.waiting
        self._store.waiting = 0


def expect(cache: Any, database: Any, protocols: Any, instrumentation: Any, writer: Any) -> None:
    """Refuse to start with a carbon that would go past the guard."""
    wanted = [
        (cache, "_MetricCache.drain_metric", {"choose_item", "pop"}),
        (database, "WhisperDatabase.create", {"whisper", "create"}),
        (writer, "writeCachedDataPoints", {"drain_metric", "exists", "create", "write", "CREATE_BUCKET"}),
        (protocols, "MetricLineReceiver.lineReceived", {"metricReceived"}),
        (protocols, "MetricReceiver.connectionLost", {"ConnectionDone", "connectedMetricReceiverProtocols"}),
        (protocols, "CarbonService.startService", {"_port", "listeningPorts"}),
        (protocols, "CarbonService.stopService", {"_port", "stopListening"}),
        (instrumentation, "recordMetrics", {"MetricCache"}),
        (instrumentation, "cache_record", {"store"}),
    ]
    for module, name, used in wanted:
        found: Any = module
        for part in name.split("."):
            found = getattr(found, part, None)
        code = getattr(found, "__code__", None)
        if code is None or not used <= set(code.co_names):
            raise SystemExit(
                f"{sys.argv[0]}: {module.__name__}.{name} is not as in carbon 1.1.7 and 1.1.10, for which this "
                "was written. Unguarded, carbon loses points where a disk is full, so it is not started. "
                "Install graphite-carbon of Debian 12 or 13, or set carbon_guard: false."
            )
    if cache.MetricCache().strategy is None:
        raise SystemExit(f"{sys.argv[0]}: CACHE_WRITE_STRATEGY in carbon.conf must be timesorted, sorted or max.")


def install() -> None:
    """Guard carbon, whose settings have been read by now: its modules look at them when they are imported."""
    from carbon import cache, database, instrumentation, log, protocols, state, writer
    from carbon.conf import settings
    from carbon.util import TaggedSeries
    from twisted.internet import reactor
    from twisted.internet.task import LoopingCall, deferLater

    expect(cache, database, protocols, instrumentation, writer)
    database.whisper.create = create_whole(database.whisper.create, f".new-{settings.instance}")
    counted, complain = Counted(), Complaints(log.msg)
    disk = Disk(settings.LOCAL_DATA_DIR, int(settings.DISK_RESERVE_BYTES))
    store = Store(cache.MetricCache(), state.database, disk, counted, complain)
    store.may_create = lambda: writer.CREATE_BUCKET is None or writer.CREATE_BUCKET.tokens >= 1
    store.put()
    future, longest = float(settings.FUTURE_SECONDS), longest_retention(writer.SCHEMAS)
    check_tags = tags_by(TaggedSeries.parse) if settings.ENABLE_TAGS else refuse_tags

    def check(point: Point) -> None:
        check_tags(point.metric)
        check_time(point.timestamp, time.time(), future, longest)

    guard_lines(protocols.MetricLineReceiver, check, counted, complain)
    door = Door(protocols, state, reactor.callLater)
    recorder = Recorder(counted, door, store)
    record_own = instrumentation.recordMetrics

    def look() -> None:
        well = disk.is_well()
        if well != door.is_open:
            free = f"{disk.free():,} bytes free, {disk.reserve:,} in reserve"
            log.msg(f"guard: {free}: {'points are taken again' if well else 'no point is taken until there is room'}")
            (door.open if well else door.close)()

    def record() -> None:
        record_own()
        for name, number in recorder.turn():
            instrumentation.cache_record(name, number)

    instrumentation.recordMetrics = record

    def leave() -> Any:
        door.leave()
        # The reactor breaks the connections in its next turns.
        return deferLater(reactor, 0.1, lambda: None)

    reactor.callWhenRunning(LoopingCall(look).start, 1.0)
    reactor.addSystemEventTrigger("before", "shutdown", leave)
    reactor.addSystemEventTrigger("after", "shutdown", lambda: write_rest(store, writer.writeCachedDataPoints, log.msg))


def write_rest(store: Store, write: Callable[[], None], say: Callable[[str], None]) -> None:
    """Write what the cache still holds when all else has ended."""
    end = time.monotonic() + STOP_SECONDS
    while store.cache and store.disk.may_write() and time.monotonic() < end:
        write()
        if store.cache:
            # What is left may not be created yet.
            time.sleep(0.1)
    if store.cache:
        say(f"guard: {store.cache.size} points could not be written before the end; the aggregator sends its own again")


def main() -> None:
    """Run carbon-cache."""
    from carbon.conf import CarbonCacheOptions
    from carbon.exceptions import CarbonConfigException
    from carbon.util import run_twistd_plugin

    read_own = CarbonCacheOptions.postOptions

    def post_options(options: Any) -> None:
        read_own(options)
        install()

    CarbonCacheOptions.postOptions = post_options
    try:
        run_twistd_plugin("/usr/bin/carbon-cache")
    except CarbonConfigException as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
