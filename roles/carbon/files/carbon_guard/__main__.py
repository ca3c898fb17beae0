"""Runs carbon-cache with the guard in place."""

import time
from typing import Any

from carbon_guard.complaints import Complaints
from carbon_guard.counted import Counted
from carbon_guard.disk import Disk
from carbon_guard.door import Door, guard_lines
from carbon_guard.lines import Point, check_time, longest_retention, refuse_tags, tags_by
from carbon_guard.recorder import Recorder
from carbon_guard.store import Store, write_rest
from carbon_guard.versions import expect
from carbon_guard.whisper_files import create_whole


def install() -> None:
    """Guard carbon, whose settings have been read by now: its modules look at them when they are imported."""
    from carbon import cache, database, instrumentation, log, protocols, state, writer
    from carbon.conf import settings
    from carbon.util import TaggedSeries
    from twisted.internet import reactor
    from twisted.internet.task import LoopingCall, deferLater

    expect(cache=cache, database=database, protocols=protocols, instrumentation=instrumentation, writer=writer)
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
