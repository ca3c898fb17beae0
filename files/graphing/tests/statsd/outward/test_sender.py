"""Sending to carbon: on disk first, in order of urgency, again when in doubt; what had to go is counted."""

import errno
import os
import socket
import threading
import time

import pytest
from ports import reserve_port
from programs import DEADLINE, wait_for
from support import Carbon

from graphing.durable import inbox, mark, shelf
from graphing.durable.journal import InUse
from graphing.statsd.outward.connection import Timing
from graphing.statsd.outward.sender import Sender
from graphing.statsd.settings import CarbonSection as Settings

NOW = int(time.time())
FAST = 100_000_000


class Listener(Carbon):
    """Remembers the order, too."""

    def __init__(self, port=None):
        self.order = []
        super().__init__(port)

    def _store(self, line):
        self.order.append(line.decode())
        super()._store(line)

    def has(self, *flushes):
        return {f"{name} {value} {stamp}" for flush in flushes for name, value, stamp in map(str.split, flush)} <= set(
            self.order
        )


@pytest.fixture
def timing():
    """Seconds by which the sender judges its connection; a test may change them while it runs."""
    return Timing()


@pytest.fixture
def quick(timing):
    """Lines count as delivered soon after they were sent."""
    timing.keep, timing.check = 0.0, 0.01
    return timing


@pytest.fixture
def start(tmp_path, timing):
    """Start a sender with a journal; close at the end those that still run."""
    running = []

    def start(port, queue_lines=shelf.QUEUE_LINES, **options):
        options = {"journal": str(tmp_path / "journal"), "replay_rate": FAST, **options}
        sender = Sender(Settings(port=port, **options), queue_lines, timing)
        sender.start()
        running.append(sender)
        return sender

    yield start
    for sender in running:
        if sender._thread.is_alive():
            sender.close(0)


def lines(batch, count=400, stamp=NOW):
    return [f"batch{batch}.line{line} {line} {stamp}\n" for line in range(count)]


def put(sender, *flush, commit=True):
    for part in flush:
        sender.put("".join(part).encode(), len(part), int(part[0].split()[2]))
    if commit:
        sender.commit()


def delivered(sender):
    """Tell whether all that was put counts as delivered."""
    return sender._shelf.is_delivered()


# On disk first


def test_lines_arrive_and_are_confirmed_when_it_closes(start):
    carbon = Listener()
    sender = start(carbon.port)
    put(sender, lines(0), lines(1))
    wait_for(lambda: carbon.lines == 800, "the lines")
    assert carbon.order == [line.strip() for line in lines(0) + lines(1)]
    assert sender.durable() == NOW
    assert sender.journal_bytes() > len("".join(lines(0) + lines(1)))
    assert sender.close(10) == []
    assert sender.collect_counts() == (800, 0, 0)
    assert sender.collect_counts() == (0, 0, 0)
    assert (sender.queued(), delivered(sender)) == (0, True)
    carbon.close()


def test_nothing_is_sent_before_it_is_synced_and_the_caller_never_waits(start, monkeypatch):
    carbon = Listener()
    sender = start(carbon.port)
    entered, proceed = threading.Event(), threading.Event()
    real, by = os.fsync, []

    def fsync(fd):
        by.append(threading.current_thread())
        entered.set()
        proceed.wait(DEADLINE)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    put(sender, lines(0))
    assert entered.wait(DEADLINE)
    put(sender, lines(1))
    assert (carbon.lines, sender.durable(), sender.queued()) == (0, 0, 800)
    proceed.set()
    wait_for(lambda: carbon.lines == 800, "the lines")
    assert sender.durable() == NOW
    assert set(by) == {sender._thread}
    carbon.close()


def test_a_flush_is_durable_with_all_of_it_and_in_order(start):
    sender = start(reserve_port())
    put(sender, lines(0, stamp=NOW))
    put(sender, lines(1, stamp=NOW + 10), commit=False)
    wait_for(lambda: sender.durable() == NOW, "the first flush")
    put(sender, lines(2, stamp=NOW + 10))
    wait_for(lambda: sender.durable() == NOW + 10, "the second flush")
    assert sender.queued() == 1200
    assert sender.unconfirmed() == []
    sender.commit()
    assert sender.close(0) == []
    assert sender.queued() == 1200


def test_lines_of_a_flush_that_is_not_complete_are_not_sent(start):
    carbon = Listener()
    sender = start(carbon.port)
    put(sender, lines(0))
    put(sender, lines(1), commit=False)
    wait_for(lambda: carbon.lines == 400, "the first flush")
    assert sender.queued() == 400
    assert sender.close(10) == []
    wait_for(lambda: carbon.lines == 800, "the rest, which closing commits")
    carbon.close()


@pytest.mark.parametrize("name", ["journal", ""])
def test_a_flush_of_many_chunks(start, tmp_path, name):
    carbon = Listener()
    sender = start(carbon.port, journal=str(tmp_path / name) if name else "")
    flush = lines(0, 40_000)
    sender.put("".join(flush).encode(), len(flush), NOW)
    sender.commit()
    wait_for(lambda: carbon.lines == 40_000, lambda: carbon.lines)
    assert carbon.order == [line.strip() for line in flush]
    assert sender.collect_counts() == (40_000, 0, 0)
    carbon.close()


# Carbon goes away


def test_carbon_away_and_back(start):
    port = reserve_port()
    sender = start(port)
    flushes = [lines(index, stamp=NOW + index) for index in range(10)]
    for flush in flushes:
        put(sender, flush)
    wait_for(lambda: sender.durable() == NOW + 9, "the journal")
    assert sender.queued() == 4000
    carbon = Listener(port)
    wait_for(lambda: sender.queued() == 0, sender.queued)
    wait_for(lambda: carbon.lines == 4000, lambda: carbon.lines)
    # The newest first, then the oldest first.
    assert carbon.order == [line.strip() for flush in (flushes[9], *flushes[:9]) for line in flush]
    assert sender.collect_counts() == (4000, 0, 0)
    carbon.close()


@pytest.mark.parametrize("name", ["journal", ""])
def test_a_connection_that_breaks_in_the_middle_of_a_line_sends_the_chunk_again(start, tmp_path, monkeypatch, name):
    monkeypatch.setattr(inbox, "CHUNK_BYTES", 64 * 1024 * 1024)
    with socket.create_server(("127.0.0.1", reserve_port())) as listener:
        port = listener.getsockname()[1]
        sender = start(port, journal=str(tmp_path / name) if name else "")
        # More than the kernel's buffers hold, so that sending is under way when the connection breaks.
        for batch in range(100):
            put(sender, lines(batch, 5000), commit=False)
        sender.commit()
        connection, _ = listener.accept()
        connection.recv(1_000_001)
        connection.close()
    carbon = Carbon(port)
    wait_for(lambda: len(carbon.points) >= 500_000, lambda: len(carbon.points))
    assert sender.close(10) == []
    assert carbon.bad == []
    assert {name for name, _ in carbon.points} == {f"batch{batch}.line{n}" for batch in range(100) for n in range(5000)}
    assert sender.queued() == 0
    sent, dropped, _ = sender.collect_counts()
    assert (sent, dropped) == (500_000, 0)
    carbon.close()


@pytest.mark.parametrize("name", ["journal", ""])
def test_lines_that_a_dying_carbon_did_not_read_are_sent_again(start, tmp_path, name):
    with socket.create_server(("127.0.0.1", reserve_port())) as listener:
        port = listener.getsockname()[1]
        sender = start(port, journal=str(tmp_path / name) if name else "", replay_seconds=0)
        put(sender, lines(0))
        connection, _ = listener.accept()
        wait_for(lambda: sender.queued() == 0, "the lines to be in the kernel")
        connection.close()
    wait_for(lambda: sender.queued() == 400, "the end to be noticed")
    assert sender.collect_counts() == (0, 0, 0)
    carbon = Carbon(port)
    wait_for(lambda: len(carbon.points) == 400, lambda: len(carbon.points))
    assert sender.close(10) == []
    carbon.close()


def test_a_line_is_counted_as_sent_once_though_it_was_sent_twice(start, quick):
    quick.keep = 1000.0
    carbon = Listener()
    sender = start(carbon.port, replay_seconds=0)
    put(sender, lines(0))
    wait_for(lambda: sender.queued() == 0, "the lines to be sent")
    wait_for(lambda: carbon.lines == 400, "the lines")
    total = sender.collect_counts()[0]
    carbon.close()
    wait_for(lambda: sender.queued() == 400, "the lines to wait again")
    assert sender.collect_counts() == (0, 0, 0)
    carbon = Listener(carbon.port)
    wait_for(lambda: carbon.lines == 400, "the lines")
    wait_for(lambda: sender.queued() == 0, "the lines to be sent")
    assert total + sender.collect_counts()[0] == 400
    carbon.close()


def test_a_carbon_that_takes_nothing_is_left(start, quick, caplog):
    quick.send_timeout = 0.2
    with socket.create_server(("127.0.0.1", reserve_port())) as listener:
        listener.settimeout(DEADLINE)
        sender = start(listener.getsockname()[1])
        for batch in range(40):
            put(sender, lines(batch, 20_000))
        first, _ = listener.accept()
        second, _ = listener.accept()
        assert "took nothing for" in caplog.text
        first.close()
        second.close()


def test_a_host_that_cannot_be_looked_up_is_like_one_that_is_away(start, caplog):
    sender = start(2003, host="a..b", journal="")
    put(sender, lines(0))
    wait_for(lambda: "carbon at a..b port 2003: " in caplog.text, "the complaint")
    assert sender.close(10) == lines(0)


# Sending again


def delivered_before(start, *flushes):
    """An earlier process delivered these and ended."""
    carbon = Listener()
    sender = start(carbon.port)
    for flush in flushes:
        put(sender, flush)
    wait_for(lambda: carbon.has(*flushes), "the lines")
    assert sender.close(10) == []
    carbon.close()


def test_what_a_killed_carbon_had_read_is_sent_again_from_the_right_start(start, quick):
    old, late, fresh = lines(0, stamp=NOW - 50_000), lines(1, stamp=NOW - 15_000), lines(2)
    delivered_before(start, old, late)
    carbon = Listener()
    sender = start(carbon.port, replay_seconds=30_000)
    put(sender, fresh)
    wait_for(lambda: carbon.lines == 400 and delivered(sender), "the delivery")
    assert not carbon.has(late)
    carbon.close()
    carbon = Listener(carbon.port)
    wait_for(lambda: carbon.has(late, fresh), lambda: carbon.lines)
    wait_for(lambda: sender.collect_counts()[2] >= 0 and not sender._shelf.next(), "the end of it")
    put(sender, ["end 1 1\n"])
    wait_for(lambda: ("end", 1) in carbon.points, "a last line")
    assert carbon.order == [line.strip() for line in [*late, *fresh, "end 1 1\n"]]
    carbon.close()


def test_old_lines_that_were_sent_lately_are_sent_again_too(start, quick):
    old = lines(0, stamp=NOW - 80_000)
    carbon = Listener()
    sender = start(carbon.port, replay_seconds=30_000)
    put(sender, old)
    wait_for(lambda: carbon.lines == 400 and delivered(sender), "the delivery")
    assert sender.collect_counts() == (400, 0, 0)
    carbon.close()
    carbon = Listener(carbon.port)
    wait_for(lambda: carbon.has(old), lambda: carbon.lines)
    wait_for(lambda: sender.collect_counts() == (0, 0, 400), "the count")
    assert sender.queued() == 0
    carbon.close()


def test_a_cache_that_returns_behind_a_relay_gets_the_lines_again(start, quick, caplog):
    relay, cache = Listener(), Listener()
    sender = start(relay.port, watch=(f"127.0.0.1:{cache.port}",))
    put(sender, lines(0))
    wait_for(lambda: relay.lines == 400 and cache._clients and delivered(sender), "the delivery")
    cache.close()
    wait_for(lambda: "is gone" in caplog.text, "the end to be noticed")
    assert relay.lines == 400
    cache = Listener(cache.port)
    wait_for(lambda: relay.lines == 800, lambda: relay.lines)
    wait_for(lambda: sender.collect_counts()[2] == 400, "the count")
    assert len(relay._clients) == 1
    relay.close()
    cache.close()


def test_after_a_boot_the_last_lines_are_sent_again(start, monkeypatch):
    old, late = lines(0, stamp=NOW - 50_000), lines(1, stamp=NOW - 15_000)
    delivered_before(start, old, late)
    monkeypatch.setattr(mark, "_boot_id", lambda: "another")
    carbon = Listener()
    sender = start(carbon.port, replay_seconds=30_000)
    wait_for(lambda: carbon.lines == 400, "the lines")
    assert carbon.order == [line.strip() for line in late]
    assert sender.close(10) == []
    assert sender.collect_counts() == (0, 0, 400)
    carbon.close()


def test_what_had_to_be_sent_again_still_has_to_after_a_restart(start, quick, caplog):
    carbon = Listener()
    sender = start(carbon.port)
    put(sender, lines(0))
    wait_for(lambda: carbon.lines == 400 and delivered(sender), "the delivery")
    carbon.close()
    wait_for(lambda: "refused" in caplog.text, "the end to be noticed")
    assert sender.close(0) == []
    carbon = Listener(carbon.port)
    sender = start(carbon.port)
    wait_for(lambda: carbon.has(lines(0)), lambda: carbon.lines)
    carbon.close()


# Order


def test_fresh_lines_go_before_a_backlog(start):
    port = reserve_port()
    sender = start(port, replay_rate=1)
    backlog = [lines(index, stamp=NOW + index) for index in range(4)]
    for flush in backlog:
        put(sender, flush)
    wait_for(lambda: sender.durable() == NOW + 3, "the journal")
    carbon = Listener(port)
    # One chunk of the backlog: the next is due after minutes.
    wait_for(lambda: carbon.has(backlog[3], backlog[0]), lambda: carbon.lines)
    fresh = lines(9, stamp=NOW + 9)
    put(sender, fresh)
    wait_for(lambda: carbon.has(fresh), "the fresh lines")
    assert not carbon.has(backlog[1])
    sender.reconfigure(Settings(port=port, journal="", replay_rate=FAST))
    wait_for(lambda: carbon.has(*backlog), "the backlog")
    assert carbon.order.index(fresh[0].strip()) < carbon.order.index(backlog[2][0].strip())
    assert carbon.lines == 2000
    carbon.close()


# Restarts


def test_a_restart_sends_what_was_not_delivered_and_nothing_else(start):
    delivered_before(start, lines(0, stamp=NOW - 20), lines(1, stamp=NOW - 10))
    sender = start(reserve_port())
    put(sender, lines(2), lines(3))
    assert sender.close(0) == []
    carbon = Listener()
    sender = start(carbon.port)
    wait_for(lambda: carbon.lines == 800, lambda: carbon.lines)
    assert sender.close(10) == []
    assert carbon.order == [line.strip() for line in lines(2) + lines(3)]
    assert (sender.collect_counts(), sender.queued()) == ((800, 0, 0), 0)
    carbon.close()


def test_a_journal_in_use_is_refused(start, tmp_path):
    start(reserve_port())
    with pytest.raises(InUse, match="another process uses this journal"):
        Sender(Settings(journal=str(tmp_path / "journal")))


def test_a_journal_that_cannot_be_used_is_named_and_lines_wait_in_memory(start, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    carbon = Listener()
    sender = start(carbon.port, journal=str(tmp_path / "file" / "journal"))
    assert f"{tmp_path}/file/journal can't be used (Not a directory)" in caplog.text
    put(sender, lines(0))
    wait_for(lambda: carbon.lines == 400, "the lines")
    carbon.close()


def test_damaged_lines_are_counted_as_dropped(start, tmp_path):
    sender = start(reserve_port())
    put(sender, lines(0, stamp=NOW), lines(1, 300, stamp=NOW + 1), lines(2, stamp=NOW + 2))
    assert sender.close(0) == []
    (path,) = (tmp_path / "journal").glob("*.log")
    content = bytearray(path.read_bytes())
    content[content.index(b"batch1.line5")] ^= 1
    path.write_bytes(content)
    carbon = Listener()
    sender = start(carbon.port)
    wait_for(lambda: carbon.has(lines(0), lines(2, stamp=NOW + 2)), lambda: carbon.lines)
    wait_for(lambda: sender.queued() == 0, sender.queued)
    assert sender.close(10) == []
    assert (carbon.lines, sender.collect_counts()) == (800, (800, 300, 0))
    carbon.close()


def test_lines_that_a_full_journal_pushes_out_are_counted(start):
    port = reserve_port()
    sender = start(port, journal_bytes=1024**2)
    dropped = 0
    for batch in range(30):
        put(sender, lines(batch, 3000, stamp=NOW + batch))
        wait_for(lambda batch=batch: sender.durable() == NOW + batch, "the journal")
        assert sender.journal_bytes() < 1.3 * 1024**2
        dropped += sender.collect_counts()[1]
        assert sender.queued() + dropped == 3000 * (batch + 1)
    assert dropped > 0
    carbon = Listener(port)
    wait_for(lambda: sender.queued() == 0, sender.queued)
    sender.close(10)
    assert sender.collect_counts() == (90_000 - dropped, 0, 0)
    assert carbon.lines == 90_000 - dropped
    assert carbon.has(lines(29, 3000, stamp=NOW + 29))
    carbon.close()


# A full disk


@pytest.fixture
def full_disk(monkeypatch):
    """A switch: while its content is true, nothing can be written."""
    full = [False]
    real = os.pwritev

    def pwritev(fd, parts, offset):
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, parts, offset)

    monkeypatch.setattr(os, "pwritev", pwritev)
    monkeypatch.setattr(shelf, "_DISK_RETRY_SECONDS", 0.01)
    return full


def test_a_full_disk_delays_nothing(start, full_disk, caplog):
    carbon = Listener()
    sender = start(carbon.port)
    put(sender, lines(0, stamp=NOW))
    wait_for(lambda: carbon.lines == 400, "the lines")
    full_disk[0] = True
    put(sender, lines(1, stamp=NOW + 1))
    wait_for(lambda: carbon.lines == 800, "the lines")
    assert "can't be written (No space left on device)" in caplog.text
    wait_for(lambda: sender.durable() == NOW + 1, "what was sent to count as safe")
    assert sender.unconfirmed() == lines(1, stamp=NOW + 1)
    full_disk[0] = False
    wait_for(lambda: sender.unconfirmed() == [], "the journal to be written again")
    put(sender, lines(2, stamp=NOW + 2))
    wait_for(lambda: sender.durable() == NOW + 2, "the journal")
    assert caplog.text.count("can be written again") == 1
    carbon.close()


def test_a_full_disk_without_carbon_keeps_the_newest_lines(start, full_disk):
    port = reserve_port()
    sender = start(port, queue_lines=1000)
    put(sender, lines(0, stamp=NOW))
    wait_for(lambda: sender.durable() == NOW, "the journal")
    full_disk[0] = True
    flushes = [lines(index, stamp=NOW + index) for index in range(1, 5)]
    for flush in flushes:
        put(sender, flush)
        wait_for(lambda flush=flush: flush[0] in sender.unconfirmed(), "the lines to wait")
    wait_for(lambda: sender.queued() == 1200, sender.queued)
    assert sender.collect_counts() == (0, 800, 0)
    assert sender.unconfirmed() == [*flushes[2], *flushes[3]]
    assert sender.durable() < NOW + 3
    full_disk[0] = False
    wait_for(lambda: sender.durable() == NOW + 4, "the journal")
    assert sender.close(0) == []
    carbon = Listener()
    sender = start(carbon.port)
    wait_for(lambda: carbon.lines == 1200, lambda: carbon.lines)
    assert carbon.has(lines(0, stamp=NOW), flushes[2], flushes[3])
    assert sender.close(10) == []
    # Those between were counted before, when they were dropped: here they are unknown.
    assert sender.collect_counts()[0] == 1200
    carbon.close()


def test_closing_with_a_full_disk_and_no_carbon_gives_the_lines_back(start, full_disk):
    sender = start(reserve_port())
    full_disk[0] = True
    put(sender, lines(0), lines(1))
    assert sender.close(10) == lines(0) + lines(1)


def test_the_limit_of_memory_is_none_for_what_the_disk_takes(start, quick):
    sender = start(reserve_port(), queue_lines=1000)
    for batch in range(10):
        put(sender, lines(batch), commit=False)
        wait_for(sender._shelf.is_drained, "the lines to be taken")
    sender.commit()
    wait_for(lambda: sender.durable() == NOW, "the journal")
    assert (sender.queued(), sender.collect_counts()) == (4000, (0, 0, 0))


# Without a journal


def test_without_a_journal_lines_are_unconfirmed_until_they_are_delivered(start, quick):
    quick.keep = 1000.0
    carbon = Listener()
    sender = start(carbon.port, journal="")
    put(sender, lines(0))
    wait_for(lambda: carbon.lines == 400, "the lines")
    wait_for(lambda: sender.durable() == NOW, "what was sent to count as safe")
    assert sender.unconfirmed() == lines(0)
    quick.keep = 0.0
    wait_for(lambda: sender.unconfirmed() == [], "the delivery")
    put(sender, lines(1))
    assert sender.close(10) == []
    assert sender.collect_counts() == (800, 0, 0)
    assert sender.journal_bytes() == 0
    carbon.close()


def test_the_oldest_lines_go_when_the_queue_is_full():
    sender = Sender(Settings(journal=""), queue_lines=1000)
    for batch in range(4):
        put(sender, lines(batch))
    assert sender.queued() == 800
    assert sender.collect_counts() == (0, 800, 0)
    assert sender.close(0) == lines(2) + lines(3)


def test_the_oldest_lines_go_when_carbon_is_away(start):
    sender = start(reserve_port(), queue_lines=1000, journal="")
    for batch in range(4):
        put(sender, lines(batch))
        wait_for(sender._shelf.is_drained, "the lines to be taken")
    wait_for(lambda: sender.queued() == 800, sender.queued)
    assert sender.collect_counts() == (0, 800, 0)
    assert sender.close(0) == lines(2) + lines(3)


def test_closing_without_carbon_gives_the_lines_back(start):
    sender = start(reserve_port(), journal="")
    put(sender, lines(0))
    put(sender, lines(1), commit=False)
    # It ends with one attempt, not with the time.
    assert sender.close(1000) == lines(0) + lines(1)


def test_closing_does_not_wait_longer_for_a_carbon_that_does_not_read(start):
    with socket.create_server(("127.0.0.1", reserve_port())) as listener:
        sender = start(listener.getsockname()[1], journal="")
        put(sender, lines(0))
        connection, _ = listener.accept()
        wait_for(lambda: sender.queued() == 0, "the lines to be in the kernel")
        assert sender.close(0.2) == lines(0)
        connection.close()


def test_closing_sends_what_is_only_in_memory_without_regard_to_the_pace(start):
    port = reserve_port()
    sender = start(port, journal="", replay_rate=1)
    for batch in range(20):
        put(sender, lines(batch, stamp=NOW + batch))
        wait_for(sender._shelf.is_drained, "the lines to be taken")
    carbon = Listener(port)
    assert sender.close(20) == []
    assert carbon.lines == 8000
    carbon.close()


# Reload


def test_a_reload_moves_to_another_carbon(start, tmp_path, caplog):
    one, other = Listener(), Listener()
    sender = start(one.port)
    put(sender, lines(0))
    wait_for(lambda: one.lines == 400, "the lines")
    sender.reconfigure(Settings(port=other.port, journal="/elsewhere"))
    put(sender, lines(1))
    wait_for(lambda: other.has(lines(1)), "the lines at the other")
    assert f"carbon.journal needs a restart: still {tmp_path}/journal" in caplog.text
    assert one.lines == 400
    one.close()
    other.close()
