"""The whole daemon: real sockets, real signals, a real clock."""

import json
import signal
import socket
import time
from contextlib import contextmanager

import pytest
from ports import reserve_port
from programs import DEADLINE, wait_for
from support import Carbon, Daemon, send, udp_socket


@pytest.fixture
def start(tmp_path, engine_name):
    """Start daemons."""

    def starter(*arguments, **settings):
        return Daemon(tmp_path, *arguments, **{"engine": engine_name, **settings})

    return starter


def test_datagrams_become_lines_with_the_intervals_end_as_timestamp(carbon, inbox, start):
    start(carbon.port, inbox, interval=2, percentiles=[50])
    wait_for(lambda: carbon.points, "the first flush")
    wait_for(lambda: time.time() % 2 < 0.5, "the beginning of an interval")
    end = (int(time.time()) // 2 + 1) * 2
    send(inbox, b"c:3|c\nt:1|ms\nt:2|ms\nt:3|ms\ng:-7|g", b"c:1|c|@0.5\ns:x|s\ns:y|s\n")
    wait_for(lambda: ("statsd.packets.count", end) in carbon.points, "the flush")
    got = {name: value for (name, stamp), value in carbon.points.items() if stamp == end}
    assert {name: value for name, value in got.items() if name.startswith("stats.")} == {
        "stats.c.count": 5,
        "stats.c.rate": 2.5,
        "stats.g": -7,
        "stats.s.unique": 2,
        "stats.t.count": 3,
        "stats.t.rate": 1.5,
        "stats.t.sum": 6,
        "stats.t.sum_squares": 14,
        "stats.t.mean": 2,
        "stats.t.median": 2,
        "stats.t.lower": 1,
        "stats.t.upper": 3,
        "stats.t.std": pytest.approx((2 / 3) ** 0.5),
        "stats.t.count_50": 2,
        "stats.t.mean_50": 1.5,
        "stats.t.upper_50": 2,
        "stats.t.sum_50": 3,
        "stats.t.sum_squares_50": 5,
    }
    assert got["statsd.packets.count"] == 2
    assert got["statsd.metrics.count"] == 8
    assert got["statsd.buckets"] == 4
    assert got["statsd.lag"] >= 0
    assert got["statsd.memory.rss"] > 1_000_000
    assert carbon.bad == []


def test_every_boundary_is_flushed_once(carbon, inbox, start):
    start(carbon.port, inbox)
    send(inbox, b"g:4|g")
    wait_for(lambda: len(carbon.series("stats.g")) > 3, "four flushes")
    stamps = sorted(carbon.series("stats.g"))
    assert stamps == list(range(stamps[0], stamps[0] + len(stamps)))
    assert set(carbon.series("stats.g").values()) == {4}


def test_bad_lines_are_counted_and_shown_and_their_neighbours_kept(carbon, inbox, start):
    daemon = start(carbon.port, inbox)
    send(inbox, b"good:1|c\nevil\x1b[31m\nx:1|zz\ngood:1|c", b"good:1|g", b"\xff" * 9000, b"good:1|c")
    wait_for(lambda: carbon.total("stats.good.count") == 3, "three good lines")
    wait_for(lambda: carbon.total("statsd.type_conflicts.count") == 1, "the conflict")
    assert carbon.total("statsd.bad_lines.count") == 3
    assert carbon.total("statsd.metrics.count") == 3
    assert "no value: 'evil\\x1b[31m'" in daemon.text()
    assert daemon.text().count("bad line") == 1
    assert "bucket good" in daemon.text()


def test_whoever_sends_bad_lines_again_and_again_is_named(carbon, inbox, start):
    daemon = start(carbon.port, inbox)
    sent = iter(range(10**6))
    wait_for(
        lambda: send(inbox, b"evil%d" % next(sent)) or "bad line from 127.0.0.1 port" in daemon.text(),
        "the sender's address",
    )


def test_sums_that_overflow_are_left_out_and_counted(carbon, inbox, start):
    start(carbon.port, inbox)
    send(inbox, b"big:1e308|c\nbig:1e308|c\nsmall:1|c")
    wait_for(lambda: carbon.total("statsd.lines.not_finite.count"), "the count")
    wait_for(lambda: carbon.total("stats.small.count") == 1, "its neighbour")
    assert carbon.bad == []
    assert carbon.total("stats.big.count") == 0


def test_datagrams_that_the_kernel_drops_are_counted(carbon, inbox, start):
    inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    send(inbox, *[b"c:1|c"] * 500)
    start(carbon.port, inbox)
    wait_for(lambda: carbon.total("statsd.kernel_drops.count"), "the drops")
    wait_for(lambda: carbon.total("stats.c.count") + carbon.total("statsd.kernel_drops.count") == 500, "all of 500")


def test_restarts_in_the_middle_of_intervals_lose_nothing(carbon, inbox, start):
    sent = 0
    for round_ in range(4):
        daemon = start(carbon.port, inbox, interval=2)
        for _ in range(50):
            send(inbox, b"c:1|c\nt:5|ms")
            sent += 1
        if round_ == 0:
            send(inbox, b"level:42|g")
        wait_for(lambda: unread(inbox) == 0, "the datagrams to be read")
        daemon.stop()
        for _ in range(50):
            send(inbox, b"c:1|c\nt:5|ms")
            sent += 1
    start(carbon.port, inbox, interval=2)
    wait_for(lambda: carbon.total("stats.c.count") == sent, lambda: (sent, carbon.series("stats.c.count")))
    assert carbon.total("stats.t.count") == sent
    assert carbon.total("statsd.metrics.count") == 2 * sent + 1
    stamps = carbon.series("stats.c.count").keys()
    last = max(stamps)
    wait_for(lambda: max(carbon.series("stats.level")) > last, "a later flush")
    assert set(carbon.series("stats.level").values()) == {42}
    assert carbon.total("stats.c.count") == sent


def saved_with(tmp_path, seconds_from_now, value):
    end = int(time.time()) + seconds_from_now
    document = {
        "version": 1,
        "interval_end": end,
        "seconds": 10,
        "interval": {"counters": {"c": value}, "timers": {}, "unsent": {}, "gauges": {"g": 5}, "sets": {}},
        "counted": {"packets": 7},
        "kernel_drops": 0,
        "lines": [f"old.line 1 {end - 10}\n"],
    }
    (tmp_path / "state.json").write_text(json.dumps(document))
    return end


def test_a_saved_interval_that_is_over_is_flushed_at_once_with_its_own_timestamp(carbon, inbox, start, tmp_path):
    end = saved_with(tmp_path, -100, 30)
    start(carbon.port, inbox)
    wait_for(lambda: carbon.series("stats.c.rate").get(end) == 3, "the saved interval")
    assert carbon.series("stats.c.count")[end] == 30
    wait_for(lambda: carbon.series("statsd.packets.count").get(end) == 7, "its own metrics")
    assert carbon.series("old.line") == {end - 10: 1}
    wait_for(lambda: not (tmp_path / "state.json").exists(), "the file to go")
    wait_for(lambda: len(carbon.series("stats.g")) > 1, "the gauge to go on")
    assert carbon.total("stats.c.count") == 30
    # Nothing is made up for the time in between.
    assert sorted(carbon.series("stats.g"))[1] > time.time() - 20


def test_a_saved_interval_that_is_not_over_goes_on(carbon, inbox, start, tmp_path):
    saved_with(tmp_path, 100, 30)
    start(carbon.port, inbox)
    send(inbox, b"c:3|c")
    wait_for(lambda: carbon.total("stats.c.count") == 33, "both parts")
    assert all(stamp < time.time() + 1 for stamp in carbon.series("stats.c.count"))


def test_a_corrupt_state_does_not_stop_the_daemon(carbon, inbox, start, tmp_path):
    (tmp_path / "state.json").write_text("{")
    daemon = start(carbon.port, inbox)
    send(inbox, b"c:1|c")
    wait_for(lambda: carbon.total("stats.c.count") == 1, "the flush")
    assert (tmp_path / "state.json.corrupt").read_text() == "{"
    assert "is corrupt" in daemon.text()


def test_without_a_state_file_the_interval_is_flushed_early_at_its_own_timestamp(carbon, inbox, start):
    daemon = start(carbon.port, inbox, interval=3600, state_file="")
    send(inbox, b"c:1|c")
    wait_for(lambda: unread(inbox) == 0, "the datagram to be read")
    daemon.stop(signal.SIGINT)
    wait_for(lambda: carbon.total("stats.c.count") == 1, "the flush")
    (stamp,) = carbon.series("stats.c.count")
    assert stamp % 3600 == 0
    assert stamp > time.time() - 60


def test_a_state_file_that_cannot_be_written_means_an_early_flush_too(carbon, inbox, start, tmp_path):
    daemon = start(carbon.port, inbox, interval=3600, state_file=str(tmp_path / "absent" / "state.json"))
    send(inbox, b"c:1|c")
    wait_for(lambda: unread(inbox) == 0, "the datagram to be read")
    daemon.stop()
    wait_for(lambda: carbon.total("stats.c.count") == 1, "the flush")
    assert "can't be written (No such file or directory): flushing at once" in daemon.text()


def unread(inbox):
    try:
        return len(inbox.recv(65535, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return 0


def test_carbon_gone_and_back_misses_nothing(inbox, start):
    first = Carbon()
    daemon = start(first.port, inbox)
    send(inbox, b"c:1|c")
    wait_for(lambda: first.total("stats.c.count") == 1, "the first flush")
    before = set(first.series("statsd.lag"))
    first.close()
    send(inbox, b"c:2|c")
    wait_for(lambda: "lines wait" in daemon.text(), "the complaint")
    send(inbox, b"c:4|c")
    wait_for(lambda: unread(inbox) == 0, "the datagram to be read")
    wait_for(lambda: time.time() > max(before) + 4, "a few more flushes")
    second = Carbon(first.port)

    def merged(name):
        return {**first.series(name), **second.series(name)}

    wait_for(lambda: sum(merged("stats.c.count").values()) == 7, lambda: merged("stats.c.count"))
    reached = max(merged("statsd.lag"))
    # Fresh intervals come first, the old ones behind them.
    wait_for(lambda: set(range(min(before), reached + 1)) <= set(merged("statsd.lag")), lambda: merged("statsd.lag"))
    assert sum(merged("stats.c.count").values()) == 7
    assert first.bad == second.bad == []
    second.close()


def test_what_carbon_did_not_take_is_sent_by_the_next_process(inbox, start, tmp_path):
    port = reserve_port()
    daemon = start(port, inbox)
    send(inbox, b"c:5|c")

    def stored():
        return b"".join(path.read_bytes() for path in (tmp_path / "journal").glob("*.log"))

    wait_for(lambda: b"stats.c.count 5 " in stored(), "a flush in vain")
    daemon.stop()
    carbon = Carbon(port)
    start(port, inbox)
    wait_for(lambda: carbon.total("stats.c.count") == 5, "the old lines")
    carbon.close()


def test_it_can_bind_for_itself(carbon, start):
    port = reserve_port()
    daemon = start(carbon.port, listen="127.0.0.1", port=port)
    wait_for(lambda: f"receiving on UDP 127.0.0.1 port {port}" in daemon.text(), "the start")
    send(port, b"c:1|c")
    wait_for(lambda: carbon.total("stats.c.count") == 1, "the flush")


def test_a_port_that_is_taken_is_named(carbon, inbox, start):
    port = inbox.getsockname()[1]
    daemon = start(carbon.port, listen="127.0.0.1", port=port)
    assert daemon.process.wait(DEADLINE) == 1
    assert f"can't receive: UDP 127.0.0.1 port {port}: Address already in use" in daemon.text()


def test_no_test_waits_for_a_daemon_that_can_not_listen(carbon, start):
    """The port is free for UDP, and somebody holds it by TCP."""
    port = reserve_port()
    with socket.create_server(("127.0.0.1", port)):
        start(carbon.port, listen="127.0.0.1", port=port, tcp=True)
        with pytest.raises(AssertionError, match=f"can't receive: TCP 127.0.0.1 port {port}: Address already in use"):
            wait_for(lambda: False, "the start")


@contextmanager
def systemd(tmp_path):
    """Yield what a notification socket receives."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(DEADLINE)
        yield path, lambda: server.recv(100)


def test_systemd_hears_of_the_start_the_stop_and_the_watchdog(carbon, inbox, start, tmp_path):
    with systemd(tmp_path) as (path, heard):
        environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}
        daemon = start(carbon.port, inbox, environment)
        assert heard() == b"READY=1"
        assert [heard() for _ in range(5)] == [b"WATCHDOG=1"] * 5
        daemon.stop()
        while (last := heard()) == b"WATCHDOG=1":
            pass
        assert last == b"STOPPING=1"


def test_it_never_answers(carbon, inbox, start):
    start(carbon.port, inbox)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(inbox.getsockname())
        client.send(b"rubbish")
        client.send(b"c:1|c")
        wait_for(lambda: carbon.total("stats.c.count") == 1, "the flush")
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)


def test_a_new_configuration_is_taken_without_losing_the_interval(carbon, inbox, start):
    daemon = start(carbon.port, inbox, interval=3600, prefix="before")
    send(inbox, b"c:1|c\nold:1|g")
    wait_for(lambda: unread(inbox) == 0, "the datagram to be read")
    daemon.write(statsd={"interval": 1, "prefix": "after", "gauge_flushes": 2, "port": 9})
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded" in daemon.text(), "the reload")
    assert "statsd.port needs a restart to change" in daemon.text()
    send(inbox, b"c:2|c")
    wait_for(lambda: carbon.total("after.c.count") == 3, "both parts")
    wait_for(lambda: len(carbon.series("after.c.count")) > 3, "more flushes")
    assert len(carbon.series("after.old")) == 2
    assert carbon.series("before.c.count") == {}


def test_a_bad_new_configuration_changes_nothing(carbon, inbox, start):
    daemon = start(carbon.port, inbox)
    wait_for(lambda: "aggregating" in daemon.text(), "the start")
    daemon.write(statsd={"interval": 0, "prefix": "after"})
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "not reloaded" in daemon.text(), "the complaint")
    assert "statsd.interval = 0: must be a whole number from 1 to 3600" in daemon.text()
    send(inbox, b"c:2|c")
    wait_for(lambda: carbon.total("stats.c.count") == 2, "the flush")


def test_lines_come_by_tcp_and_by_a_unix_socket_too(carbon, start, tmp_path):
    port = reserve_port()
    daemon = start(carbon.port, listen="127.0.0.1", port=port, tcp=True, unix_socket=str(tmp_path / "statsd.sock"))
    wait_for(lambda: "aggregating" in daemon.text(), "the start")
    with socket.create_connection(("127.0.0.1", port)) as stream:
        stream.sendall(b"c:1|c\nc:1|c\nc:1")
        stream.sendall(b"|c\nc:1|c")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"c:1|c", str(tmp_path / "statsd.sock"))
    send(port, b"c:1|c")
    wait_for(lambda: carbon.total("stats.c.count") == 6, lambda: carbon.series("stats.c.count"))


def test_other_servers_get_a_copy(carbon, inbox, start):
    with udp_socket() as other:
        other.settimeout(DEADLINE)
        start(carbon.port, inbox, tables={"repeater": {"servers": [f"127.0.0.1:{other.getsockname()[1]}"]}})
        send(inbox, b"c:1|c\nd:2|c")
        assert other.recv(65535) == b"c:1|c\nd:2|c"


def test_the_busiest_buckets_are_logged(carbon, inbox, start, tmp_path):
    start(carbon.port, inbox, tables={"key_flush": {"interval": 1, "file": str(tmp_path / "keys")}})
    send(inbox, *[b"busy:1|c"] * 5, b"idle:1|c")
    wait_for(lambda: (tmp_path / "keys").exists() and "busy" in (tmp_path / "keys").read_text(), "the log")


def test_every_message_can_be_logged(carbon, inbox, start):
    daemon = start(carbon.port, inbox, dump_messages=True)
    send(inbox, b"c:1|c\nevil\x1b[31m")
    wait_for(lambda: "message 'evil\\x1b[31m'" in daemon.text(), "the message")
    assert "message 'c:1|c'" in daemon.text()


def test_values_with_a_time_keep_it_and_those_of_the_future_are_refused(carbon, inbox, start):
    start(carbon.port, inbox)
    now = int(time.time())
    send(inbox, b"kv:5|kv|@%d\nkv:6|kv|@%d\nlate:7|kv" % (now - 100, now + 3600))
    send(inbox, b"g:5|g|T%d\ng:6|g|T%d" % (now - 100, now + 3600))
    wait_for(lambda: carbon.total("statsd.refused.count") == 2, "the refusals")
    assert carbon.series("stats.kv") == carbon.series("stats.g") == {now - 100: 5}
    assert list(carbon.series("stats.late").values()) == [7]
    assert carbon.total("statsd.metrics.count") == 3


def test_a_flood_of_new_names_is_bounded_and_known_ones_go_on(carbon, inbox, start):
    daemon = start(carbon.port, inbox, max_buckets=100)
    send(inbox, b"known:1|c")
    wait_for(lambda: carbon.total("stats.known.count") == 1, "the first flush")
    for block in range(40):
        send(inbox, b"\n".join(b"flood.%d.%d:1|c" % (block, n) for n in range(25)))
        wait_for(lambda: unread(inbox) == 0, "the datagram to be read")
    send(inbox, b"known:1|c")
    wait_for(lambda: carbon.total("stats.known.count") == 2, "the known bucket")
    wait_for(lambda: carbon.total("statsd.refused.count") == 901, lambda: carbon.series("statsd.refused.count"))
    assert carbon.total("statsd.metrics.count") == 101
    assert "there are max_buckets buckets already" in daemon.text()


def test_the_console_answers(carbon, inbox, start):
    port = reserve_port()
    daemon = start(carbon.port, inbox, tables={"console": {"port": port}}, interval=3600)
    wait_for(lambda: "aggregating" in daemon.text(), "the start")
    send(inbox, b"a.b:3|c\na.c:1|c\ng:5|g")
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
        answers = client.makefile("rw", newline="\n")

        def ask(command):
            answers.write(f"{command}\n")
            answers.flush()
            answer = []
            while (line := answers.readline()) not in ("END\n", ""):
                answer.append(line)
            answers.readline()
            return "".join(answer)

        wait_for(lambda: "a.b" in ask("counters"), "the counter")
        assert all(float(line.split(": ")[1]) >= 0 for line in ask("stats").splitlines())
        assert "deleted: a.b" in ask("delcounters a.*")
        assert "a.b" not in ask("counters")
