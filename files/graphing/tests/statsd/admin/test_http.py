"""Health by HTTP: what is answered, peers that behave badly, and the running daemon in both engines."""

import json
import signal
import socket
import urllib.error
import urllib.request
from dataclasses import replace

import pytest
from ports import reserve_port
from programs import DEADLINE, wait_for
from support import Carbon, Daemon, send

from graphing.statsd.admin.http import HttpDoor
from graphing.statsd.admin.status import Status, failing, page
from graphing.statsd.intake.refusals import Refusals
from graphing.statsd.intake.sockets import status_listener
from graphing.statsd.model.health import Counted
from graphing.statsd.settings import ConsoleSection

WELL = Status(
    engine="python",
    uptime=100.0,
    interval=10,
    health="up",
    totals=Counted(packets=7, metrics=10, bad_lines=2, type_conflicts=3, refused=4, lines_sent=20),
    since_received=0.5,
    since_flush=3.0,
    flush_duration=0.01,
    lines_queued=0,
    journal_bytes=1000,
    journal_limit=1_000_000,
    carbon_trouble="",
    unprotected="",
    lately=Refusals().report(),
)


# What is answered


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"health": "down"}, {"health"}),
        ({"since_flush": 25.0}, {}),
        ({"since_flush": 25.1}, {"flush"}),
        ({"carbon_trouble": "127.0.0.1 port 2003: refused"}, {"carbon"}),
        ({"journal_bytes": 950_000}, {}),
        ({"journal_bytes": 950_000, "lines_queued": 5}, {"journal"}),
        ({"journal_bytes": 0, "journal_limit": 0, "lines_queued": 5}, {}),
        ({"health": "down", "carbon_trouble": "refused"}, {"health", "carbon"}),
        ({"unprotected": "/run/statsd/datagrams can't be made (No space left on device)"}, {"log"}),
    ],
)
def test_what_keeps_numbers_back_is_named(changes, expected):
    status = replace(WELL, **changes)
    assert failing(status).keys() == set(expected)
    ready = page("/readyz", status)
    assert ready.code == (503 if expected else 200)
    assert json.loads(ready.body) == {"ready": not expected, "failing": failing(status)}


def test_who_answers_is_alive():
    assert page("/healthz", replace(WELL, health="down")).code == 200


def test_the_values_add_up():
    values = json.loads(page("/statusz", WELL).body)["values"]
    assert values == {"received": 19, "aggregated": 10, "bad_lines": 2, "type_conflicts": 3, "refused": 4}


def test_there_is_nothing_else():
    assert page("/", WELL) is None


# Peers


class Served:
    def __init__(self):
        self.now = 1000.0
        self.looks = 0
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = listener.getsockname()
        self.door = HttpDoor(listener, self.look, lambda: self.now)
        self.peers = []

    def look(self):
        self.looks += 1
        return WELL

    def peer(self, *pieces):
        peer = socket.create_connection(self.address)
        peer.setblocking(False)
        self.peers.append(peer)
        for piece in pieces:
            peer.send(piece)
            self.door.turn()
        return peer

    def answer(self, peer):
        """All that it is sent until the connection is closed on this side; b"" if there was a reset."""
        received = bytearray()

        def ended():
            self.door.turn()
            try:
                data = peer.recv(65536)
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
            received.extend(data)
            return not data

        wait_for(ended, lambda: bytes(received))
        return bytes(received)


@pytest.fixture
def served():
    made = Served()
    yield made
    made.door.close()
    for peer in made.peers:
        peer.close()


def code(answer):
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        (b"GET /healthz HTTP/1.1", 200),
        (b"GET /readyz HTTP/1.0", 200),
        (b"GET /statusz?x=1 HTTP/1.1", 200),
        (b"HEAD /statusz HTTP/1.1", 200),
        (b"GET / HTTP/1.1", 404),
        (b"GET /healthz/../statusz HTTP/1.1", 404),
        (b"POST /healthz HTTP/1.1", 405),
        (b"DELETE /statusz HTTP/1.1", 405),
        (b"GET /healthz", 400),
        (b"GET /healthz HTTP/2", 400),
        (b"", 400),
        (b"\xff\x00\x1b[2J \x00 \x00", 400),
    ],
)
def test_a_request_has_its_code(served, request_line, expected):
    answer = served.answer(served.peer(request_line + b"\r\nHost: x\r\n\r\n"))
    assert code(answer) == expected
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    assert len(body) == (0 if request_line.startswith(b"HEAD") else length)
    assert (b"Allow: GET, HEAD" in head) is (expected == 405)


def test_a_request_may_come_in_pieces(served):
    peer = served.peer(b"GET /hea", b"lthz HTTP/1.1\r\nHost", b": x\r\n\r", b"\n")
    assert code(served.answer(peer)) == 200


def test_what_follows_a_request_is_not_answered_and_harms_nothing(served):
    peer = served.peer(b"GET /statusz HTTP/1.1\r\n\r\n" * 40, b"x" * 5000)
    assert served.answer(peer).count(b"HTTP/1.1 200") == 1
    assert served.looks == 1


def test_a_request_without_an_end_is_refused(served):
    peer = served.peer(*[b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * 500] * 4)
    assert code(served.answer(peer)) == 400


def test_a_peer_that_says_nothing_is_dropped_and_keeps_nobody_waiting(served):
    silent = served.peer()
    served.door.turn()
    assert code(served.answer(served.peer(b"GET /healthz HTTP/1.1\r\n\r\n"))) == 200
    served.now += 5
    assert served.answer(silent) == b""


def test_a_peer_that_does_not_go_after_its_answer_is_dropped(served):
    peer = served.peer(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert code(served.answer(peer)) == 200
    served.now += 5
    served.door.turn()
    assert not served.door._listener.open


def test_too_many_peers_are_turned_away_until_one_has_gone(served):
    held = [served.peer() for _ in range(16)]
    served.door.turn()
    assert served.answer(served.peer()) == b""
    held[0].close()
    served.door.turn()
    assert code(served.answer(served.peer(b"GET /healthz HTTP/1.1\r\n\r\n"))) == 200


def test_peers_that_break_off_do_no_harm(served):
    for _ in range(40):
        peer = served.peer(b"GET /statusz HTTP/1.1\r\n\r\n")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        served.door.turn()
    assert code(served.answer(served.peer(b"GET /healthz HTTP/1.1\r\n\r\n"))) == 200


# The daemon


@pytest.fixture
def start(tmp_path, engine_name, port):
    def starter(carbon_port, inbox, **settings):
        tables = {"console": {"http_port": port}}
        return Daemon(tmp_path, carbon_port, inbox, tables=tables, **{"engine": engine_name, **settings})

    return starter


def ask(port, path):
    """Code and content, or None while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=DEADLINE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return None


def test_the_daemon_counts_since_its_start(carbon, inbox, start, port, engine_name):
    start(carbon.port, inbox, max_buckets=2)
    wait_for(lambda: ask(port, "/healthz") == (200, {"status": "ok"}), "the daemon")
    lines = [b"a:1|c\na:2|c\nbad", b"b:1|c\nc:1|c"]
    expected = {"received": 5, "aggregated": 3, "bad_lines": 1, "type_conflicts": 0, "refused": 1}
    for times in range(1, 4):
        flushed = len(carbon.series("statsd.packets.count"))
        send(inbox, *lines)
        total = {name: times * number for name, number in expected.items()}
        wait_for(lambda total=total: ask(port, "/statusz")[1]["values"] == total, lambda: ask(port, "/statusz"))
        # The sums go on over the ends of intervals.
        wait_for(lambda flushed=flushed: len(carbon.series("statsd.packets.count")) > flushed + 1, "flushes")
    said = ask(port, "/statusz")[1]
    assert said["values"] == total
    assert said["datagrams"] == {"received": 6, "kernel_drops": 0, "resumed": 0}
    assert said["engine"] == engine_name
    assert said["since_received"] >= 0
    wait_for(lambda: ask(port, "/statusz")[1]["lines"]["sent"] > 0, "sent lines")
    assert ask(port, "/readyz") == (200, {"ready": True, "failing": {}})


def test_the_daemon_is_not_ready_while_carbon_is_away(inbox, start, port):
    carbon = Carbon()
    start(carbon.port, inbox)
    wait_for(lambda: carbon.points, "the first flush")
    assert ask(port, "/readyz")[0] == 200
    carbon.close()
    wait_for(lambda: ask(port, "/readyz")[0] == 503, lambda: ask(port, "/readyz"))
    assert f"127.0.0.1 port {carbon.port}: " in ask(port, "/readyz")[1]["failing"]["carbon"]
    assert ask(port, "/healthz")[0] == 200
    back = Carbon(carbon.port)
    wait_for(lambda: ask(port, "/readyz")[0] == 200, lambda: ask(port, "/readyz"))
    back.close()


def test_reception_goes_on_beside_many_who_ask_and_do_not_read(carbon, inbox, start, port):
    daemon = start(carbon.port, inbox)
    wait_for(lambda: ask(port, "/healthz"), "the daemon")
    peers = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    for number in range(300):
        for peer in peers[: number % 30]:
            try:
                peer.sendall(b"GET /statusz HTTP/1.1\r\n")
            except OSError:
                continue
        send(inbox, b"c:1|c")
    wait_for(lambda: carbon.total("stats.c.count") == 300, lambda: carbon.total("stats.c.count"))
    for peer in peers:
        peer.close()
    daemon.stop(signal.SIGTERM)


def test_port_0_is_no_door():
    assert status_listener(ConsoleSection(http_port=0)) is None
    listener = status_listener(ConsoleSection(http_port=reserve_port()))
    assert listener.getsockname()[0] == "127.0.0.1"
    listener.close()
