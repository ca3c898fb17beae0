"""`graphing statsd tail`: against a real console, to a pipe and to a terminal."""

import io
import os
import re
import socket
import termios
import threading

import pytest
from ports import reserve_port
from statsd_support import RecordedView

from graphing.statsd.admin import tail
from graphing.statsd.admin.console import Console
from graphing.statsd.admin.tail import Bucket, run, table, with_rates
from graphing.statsd.model.protocol import Kind


class Served(RecordedView):
    """What a console shows, and the port where it does."""

    port = 0


@pytest.fixture
def served():
    """A console with a thread that gives it its turns, and its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    view = Served()
    console = Console(listener, view)
    view.port = listener.getsockname()[1]
    done = threading.Event()

    def serve():
        while not done.wait(0.001):
            console.turn()

    thread = threading.Thread(target=serve)
    thread.start()
    yield view
    done.set()
    thread.join()
    console.close()


class Terminal:
    """A terminal of a given size and what it was sent."""

    def __init__(self, lines, columns):
        self._master, slave = os.openpty()
        termios.tcsetwinsize(slave, (lines, columns))
        self.out = os.fdopen(slave, "w")
        self.text = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        # The end of a terminal is an error.
        try:
            while data := os.read(self._master, 4096):
                self.text += data.decode()
        except OSError:
            pass

    def finish(self):
        self.out.close()
        self._thread.join()
        os.close(self._master)
        return self.text


def served_once(answer):
    """Listen, answer one command with `answer`, and go away; return the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener, listener.accept()[0] as peer:
            peer.recv(100)
            peer.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def test_a_pipe_gets_plain_blocks_of_the_buckets_with_that_pattern(served):
    out = io.StringIO()
    assert run("127.0.0.1", served.port, "web", 0.01, out) == 0
    blocks = out.getvalue().strip().split("\n\n")
    assert len(blocks) == 2
    header, *rows = blocks[0].split("\n")
    assert header.split() == ["change/s", "value", "mean", "kind", "bucket"]
    assert [row.split() for row in rows] == [
        ["5", "counters", "web.hits"],
        ["2", "210.25", "timers", "web.time"],
    ]
    assert "\x1b" not in out.getvalue()


def test_a_pattern_with_a_newline_is_no_second_command(served):
    assert run("127.0.0.1", served.port, "x\nhealth down", 0.01, io.StringIO()) == 0
    assert served.health == "up"


def test_a_terminal_gets_what_fits_and_is_restored(served):
    served.buckets[Kind.GAUGE] = {f"gauge{number}.{'x' * 100}": 1.0 for number in range(50)}
    terminal = Terminal(7, 60)
    assert run("127.0.0.1", served.port, "gauge", 0.01, terminal.out) == 0
    text = terminal.finish()
    assert text.startswith("\x1b[?1049h\x1b[?25l\x1b[H")
    assert text.endswith("\x1b[?25h\x1b[?1049l")
    assert text.count("\x1b[H") == 2
    for screen in text.split("\x1b[H")[1:]:
        lines = re.sub(r"\x1b\[\??[0-9]*[a-zA-Z]", "", screen).split("\r\n")
        assert len(lines) == 7
        assert {len(line) for line in lines[1:]} == {60}


def test_control_c_ends_it_well(served, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tail.time, "sleep", interrupted)
    terminal = Terminal(24, 80)
    assert run("127.0.0.1", served.port, "", 0, terminal.out) == 0
    assert terminal.finish().endswith("\x1b[J\x1b[?25h\x1b[?1049l")


def test_nobody_reads_on(served):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        assert run("127.0.0.1", served.port, "", 0, out) == 0


def test_a_console_that_does_not_answer_is_named(capsys):
    port = reserve_port()
    assert run("127.0.0.1", port, "", 1, io.StringIO()) == 1
    assert f"no StatsD console answers on 127.0.0.1 port {port}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"ERROR\n", "doesn't know `live`"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 400\r\nEND\n\n", "Expecting value"),
        (b"[1, 2]\nEND\n\n", "makes no sense"),
        (b'{"a": 5}\nEND\n\n', "makes no sense"),
    ],
)
def test_another_server_is_no_console(answer, reason, capsys):
    assert run("127.0.0.1", served_once(answer), "", 1, io.StringIO()) == 1
    assert reason in capsys.readouterr().err


def test_a_console_that_goes_away_restores_the_terminal(capsys):
    terminal = Terminal(24, 80)
    assert run("127.0.0.1", served_once(b"{}\nEND\n\n"), "", 0, terminal.out) == 1
    assert terminal.finish().endswith("\x1b[?25h\x1b[?1049l")
    assert "closed the connection" in capsys.readouterr().err


def test_names_do_nothing_to_the_terminal():
    out = io.StringIO()
    answer = b'{"a\\u001b[2J\\u202e\\n": ["counters\\u0007", null]}\nEND\n\n'
    run("127.0.0.1", served_once(answer), "", 0.01, out)
    assert "a?[2J??" in out.getvalue()
    # null: a sum beyond all numbers.
    assert " inf " in out.getvalue()
    assert out.getvalue().replace("\n", "").isprintable()


def test_the_second_look_shows_the_change(served, monkeypatch):
    def sleep(_):
        served.counters()["web.hits"] += 1000

    monkeypatch.setattr(tail.time, "sleep", sleep)
    out = io.StringIO()
    run("127.0.0.1", served.port, "web.hits", 0.01, out)
    first, second = [line.split() for line in out.getvalue().splitlines() if "web.hits" in line][:2]
    assert first == ["5", "counters", "web.hits"]
    assert float(second[0]) > 0
    assert second[1:] == ["1005", "counters", "web.hits"]


def rates(before, now, seconds=2.0):
    return {name: bucket.rate for name, bucket in with_rates(before, now, seconds).items()}


def test_a_rate_is_the_change_per_second():
    before = {"a": Bucket("counters", 10.0), "gone": Bucket("sets", 1.0)}
    assert rates(before, {"a": Bucket("counters", 30.0), "new": Bucket("timers", 5.0)}) == {"a": 10.0, "new": None}


def test_a_drop_is_the_end_of_an_interval_and_keeps_the_earlier_rate():
    before = {"a": Bucket("counters", 10.0, rate=3.0), "b": Bucket("timers", 5.0)}
    assert rates(before, {"a": Bucket("counters", 1.0), "b": Bucket("timers", 2.0)}) == {"a": 3.0, "b": None}


def test_a_gauge_may_fall_and_the_rate_has_no_sign():
    assert rates({"g": Bucket("gauges", 10.0)}, {"g": Bucket("gauges", 4.0)}) == {"g": 3.0}


def test_a_bucket_of_another_kind_is_another_bucket():
    assert rates({"a": Bucket("gauges", 1.0)}, {"a": Bucket("counters", 10.0)}) == {"a": None}


def test_the_busiest_is_first():
    buckets = {
        "idle": Bucket("counters", 0.0, rate=0.0),
        "much": Bucket("counters", 900.0, rate=0.0),
        "gauge": Bucket("gauges", 1e9, rate=0.0),
        "fast": Bucket("timers", 2.0, 1.5, 7.0),
        "new": Bucket("sets", 1.0),
    }
    assert [row.split()[-1] for row in table(buckets)[1:]] == ["fast", "much", "new", "gauge", "idle"]
    assert table({"beyond": Bucket("counters", float("inf"))})[1].split() == ["inf", "counters", "beyond"]
