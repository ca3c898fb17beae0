"""kill -9 at any moment: what was received is flushed, once, at its own time."""

import contextlib
import json
import random
import resource
import signal
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from ports import reserve_port
from programs import wait_for
from support import Carbon, Daemon, send, udp_socket

from graphing.statsd.engine.choice import make_engine
from graphing.statsd.intake.intake import Intake
from graphing.statsd.intake.sockets import Sockets
from graphing.statsd.model import partial
from graphing.statsd.model.health import Counted
from graphing.statsd.model.reference import BucketRules
from graphing.statsd.settings import StatsdSection
from graphing.statsd.survival import datagram_log, succession

ROUNDS = 8
START_SECONDS = 5
BYTES_OF_A_DATAGRAM = 1280
"""What the kernel charges for one."""
SO_RCVBUFFORCE = 33
"""asm-generic/socket.h"""


class Flood:
    """Sends numbered datagrams until it is stopped."""

    def __init__(self, inbox):
        self.sent = 0
        self._inbox = inbox
        # No faster than the socket's queue can hold while a daemon starts: this is about crashes.
        room = inbox.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // BYTES_OF_A_DATAGRAM
        self._pause = max(0.004, 20 * START_SECONDS / room)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(self._inbox.getsockname())
            while not self._stop.is_set():
                for _ in range(20):
                    client.send(b"c:1|c\nt:%d|ms\ns%d:%d|s" % (self.sent, self.sent // 1000, self.sent))
                    self.sent += 1
                self._stop.wait(self._pause)

    def stop(self):
        self._stop.set()
        self._thread.join()


def drops(inbox):
    port = f":{inbox.getsockname()[1]:04X} "
    with open("/proc/net/udp") as table:
        return sum(int(line.split()[-1]) for line in table if port in line)


@pytest.fixture
def inbox():
    with udp_socket() as made:
        with contextlib.suppress(PermissionError):
            made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        yield made


def test_killed_again_and_again_in_a_flood_it_loses_nothing(tmp_path, carbon, inbox, engine_name):
    chance = random.Random(2)
    flood = Flood(inbox)
    daemon = None
    for _ in range(ROUNDS):
        daemon = Daemon(tmp_path, carbon.port, inbox, engine=engine_name, interval=2)
        wait_for(lambda text=daemon.text: "aggregating" in text(), "the start")
        time.sleep(chance.uniform(0.05, 1.5))  # any moment: this is the test's input, not a wait
        daemon.stop(signal.SIGKILL)
        daemon.log.unlink()
    flood.stop()
    daemon = Daemon(tmp_path, carbon.port, inbox, engine=engine_name, interval=2)
    sent = flood.sent - drops(inbox)
    assert drops(inbox) == 0, "the test sends too fast for this machine's socket buffers"
    wait_for(lambda: carbon.total("stats.c.count") >= sent, lambda: (carbon.total("stats.c.count"), sent))
    last = max(carbon.series("stats.c.count"))
    wait_for(lambda: max(carbon.series("stats.c.count")) > last, "one more flush")
    daemon.stop()
    assert carbon.total("stats.c.count") == sent
    assert carbon.total("stats.t.count") == sent
    assert carbon.total("stats.t.sum") == sent * (sent - 1) / 2
    assert sum(carbon.total(f"stats.s{n}.unique") for n in range(sent // 1000 + 1)) >= sent
    assert carbon.total("statsd.bad_lines.count") == 0
    assert carbon.total("statsd.metrics.count") == 3 * sent
    assert carbon.total("statsd.packets.count") == sent
    assert carbon.total("statsd.resumed.count") > 0, "no datagram was at risk"
    assert carbon.bad == []


def test_after_an_outage_the_interval_is_flushed_at_its_own_time_and_no_zero_is_made_up(
    tmp_path, carbon, inbox, engine_name
):
    daemon = Daemon(tmp_path, carbon.port, inbox, engine=engine_name, interval=2)
    send(inbox, b"idle:1|c\nlevel:7|g")
    wait_for(lambda: carbon.total("stats.idle.count") == 1, "the first flush")
    wait_for(lambda: time.time() % 2 < 0.5, "the beginning of an interval")
    end = (int(time.time()) // 2 + 1) * 2
    send(inbox, b"c:5|c\nlevel:+1|g")
    # What is neither in the log nor in the slots is still in the socket.
    wait_for(lambda: b"c:5|c" in (tmp_path / "datagrams").read_bytes(), "the datagram in the log")
    daemon.stop(signal.SIGKILL)
    wait_for(lambda: time.time() > end + 4, "two intervals without a daemon")
    daemon = Daemon(tmp_path, carbon.port, inbox, engine=engine_name, interval=2)
    wait_for(lambda: end in carbon.series("stats.c.count"), "the interval of the crash")
    send(inbox, b"level:+1|g")
    wait_for(lambda: 9 in carbon.series("stats.level").values(), "the gauge to go on")
    assert carbon.series("stats.c.count")[end] == 5
    assert carbon.series("stats.level")[end] == 8
    assert end + 2 not in carbon.series("stats.c.count")
    assert end + 2 not in carbon.series("stats.idle.count")
    # Idle buckets are known after the crash as before it.
    assert max(carbon.series("stats.idle.count")) > end
    daemon.stop()


@pytest.mark.parametrize("before", [[], ["word"], ["word", "packets"]], ids=" ".join)
@pytest.mark.parametrize("earlier", [0, 1, 3])
def test_a_crash_between_two_stores_counts_each_datagram_once(tmp_path, inbox, engine_name, earlier, before):
    """A batch gets into the slots, then the count of datagrams, then the log: what was not stored yet is as before."""
    log = datagram_log.DatagramLog(tmp_path / "datagrams")
    receiver = make_engine(engine_name, StatsdSection().rules()).receiver(log.memory)
    log.begin(10, 10)
    log.compact(b"")
    receiver.begin(log.generation)
    log.publish()
    words = memoryview(log.memory).cast("Q")
    for batch in range(earlier + 1):
        stored = {name: words[datagram_log.LAYOUT[name] // 8] for name in before}
        send(inbox, *(b"c%d:%d|c" % (batch, number) for number in range(5)))
        receiver.receive([inbox.fileno()], 0)
    for name, value in stored.items():
        words[datagram_log.LAYOUT[name] // 8] = value
    left = datagram_log.recover(tmp_path / "datagrams")
    assert left.lines == b"".join(b"c%d:%d|c\n" % (batch, n) for batch in range(earlier + 1) for n in range(5))
    assert left.packets == 5 * (earlier + 1)


def test_a_crash_between_two_flushes_flushes_the_first_again(tmp_path, inbox, engine_name):
    """The interval that carbon's journal may not have stays in the log until it is on disk."""
    daemon = Daemon(tmp_path, 1, inbox, engine=engine_name, interval=1, tables={"carbon": {"journal": ""}})
    send(inbox, b"c:3|c\nt:4|ms\ng:5|g\ns:x|s")
    # Without a journal nothing is durable while carbon is away.
    log = tmp_path / "datagrams"
    wait_for(lambda: log.exists() and datagram_log.recover(log).unflushed, "an interval that waits")
    daemon.stop(signal.SIGKILL)
    carbon = Carbon()
    daemon = Daemon(tmp_path, carbon.port, inbox, engine=engine_name, interval=1)
    wait_for(lambda: carbon.total("stats.c.count") == 3, "the interval")
    assert carbon.total("stats.t.sum") == 4
    assert set(carbon.series("stats.g").values()) == {5}
    assert carbon.total("stats.s.unique") == 1
    daemon.stop()
    carbon.close()


def test_drops_before_a_crash_are_counted_once(tmp_path, carbon, inbox, engine_name):
    """The socket outlives the process, and the kernel's count of its drops with it."""
    inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    send(inbox, *[b"c:1|c"] * 500)
    daemon = Daemon(tmp_path, carbon.port, inbox, engine=engine_name, interval=1)
    wait_for(lambda: carbon.total("statsd.kernel_drops.count"), "the drops")
    flushed = len(carbon.series("statsd.packets.count"))
    wait_for(lambda: len(carbon.series("statsd.packets.count")) > flushed + 1, "an interval without any")
    daemon.stop(signal.SIGKILL)
    Daemon(tmp_path, carbon.port, inbox, engine=engine_name, interval=1)
    flushed = len(carbon.series("statsd.packets.count"))
    wait_for(lambda: len(carbon.series("statsd.packets.count")) > flushed + 1, "two intervals of the next process")
    assert carbon.total("stats.c.count") + carbon.total("statsd.kernel_drops.count") == 500


def test_a_log_that_cannot_be_used_is_set_aside(tmp_path, carbon, inbox, engine_name):
    (tmp_path / "datagrams").write_bytes(b"something else")
    daemon = Daemon(tmp_path, carbon.port, inbox, engine=engine_name)
    send(inbox, b"c:1|c")
    wait_for(lambda: carbon.total("stats.c.count") == 1, "the flush")
    assert (tmp_path / "datagrams.corrupt").read_bytes() == b"something else"
    assert "set aside" in daemon.text()
    daemon.stop()


HEADERS = [b'{"generation": 0, "origin": "", "period": [1e999, 10, "1", 0], "unflushed": []}', b"[" * 1700, b"{}", b""]


@pytest.mark.parametrize("header", HEADERS)
def test_whatever_is_wrong_with_a_log_a_start_succeeds(tmp_path, header):
    path = tmp_path / "datagrams"
    log = datagram_log.DatagramLog(path)
    log.publish()
    content = bytearray(path.read_bytes())
    for at in (512, 2304):
        content[at : at + 4 + len(header)] = len(header).to_bytes(4, "little") + header
    path.write_bytes(content)
    assert succession.find("", str(path)) is None
    assert not path.exists()
    assert (tmp_path / "datagrams.corrupt").exists()


@pytest.mark.parametrize(
    "records",
    [b"X", b"N\0", b"V\0\0\0\0" + b"\0" * 8, b"H\2\0\0\0[]", b'K\x0c\0\0\0{"a":["bc"]}', b"M\1\0\0\0N", b"M\2\0\0\0[)"],
)
def test_damaged_records_are_refused(records):
    with pytest.raises(ValueError):  # noqa: PT011 - the reason differs
        partial.read(records)


def test_after_a_clean_stop_no_log_is_left(tmp_path, carbon, inbox, engine_name):
    daemon = Daemon(tmp_path, carbon.port, inbox, engine=engine_name)
    send(inbox, b"c:1|c")
    wait_for(lambda: carbon.total("stats.c.count") == 1, "the flush")
    daemon.stop()
    assert [item.name for item in tmp_path.iterdir() if item.name.startswith("datagrams")] == []


def test_a_folder_that_is_not_there_only_costs_the_protection_and_is_said(tmp_path, carbon, inbox, engine_name):
    log, port = tmp_path / "absent" / "log", reserve_port()
    tables = {"console": {"http_port": port}}
    daemon = Daemon(tmp_path, carbon.port, inbox, engine=engine_name, datagram_log=str(log), tables=tables)
    send(inbox, b"c:1|c")
    wait_for(lambda: carbon.total("stats.c.count") == 1, "the flush")
    assert "a crash of this process will lose an interval" in daemon.text()
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5)
    assert answer.value.code == 503
    assert json.loads(answer.value.read())["failing"] == {
        "log": f"{log} can't be made (No such file or directory): a crash of the aggregator would lose an interval"
    }
    daemon.stop()


@contextlib.contextmanager
def largest_file(size):
    """What a full disk does too: of a write that goes beyond, a part is done, and the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_without_room_for_the_log_it_says_why_it_protects_nothing(tmp_path):
    with largest_file(1 << 20):
        log = succession.open_log(str(tmp_path / "datagrams"), "")
    assert log.trouble == f"{tmp_path}/datagrams can't be made (File too large)"
    assert list(tmp_path.iterdir()) == []
    assert succession.open_log(str(tmp_path / "datagrams"), "").trouble == ""
    assert succession.open_log("", "").trouble == "", "as it was asked for"


def test_a_cut_for_which_there_is_no_room_spoils_nothing(tmp_path):
    """A part of the records fits: the files are as long as the log says, and what was written before is still there."""
    log = datagram_log.DatagramLog(tmp_path / "datagrams")
    log.begin(100, 10)
    engine = make_engine("python", BucketRules())
    engine.feed(b"c:1|c")
    log.compact(engine.serialize_changes())
    log.publish()
    engine.feed(b"\n".join(b"bucket%d:1|c" % number for number in range(1000)))
    with largest_file(2048), pytest.raises(OSError, match="File too large"):
        log.compact(engine.serialize_changes())
    assert datagram_log.recover(tmp_path / "datagrams").partial.interval.counters == {"c": 1.0}
    log.compact(engine.serialize_changes())
    assert len(datagram_log.recover(tmp_path / "datagrams").partial.interval.counters) == 1001


def test_an_intake_that_cannot_cut_says_so_until_it_can(tmp_path, inbox, engine_name):
    log = datagram_log.DatagramLog(tmp_path / "datagrams")
    log.begin(100, 10)
    intake = Intake(make_engine(engine_name, BucketRules()), log, Sockets([inbox], []), Counted())
    assert intake.unprotected == ""
    intake.add(b"c:1|c\n")
    with largest_file(0):
        intake.compact_log()
    assert intake.unprotected == "the log of datagrams can't be compacted (File too large)"
    intake.add(b"c:1|c\n")
    intake.compact_log()
    assert intake.unprotected == ""
    intake.close()
