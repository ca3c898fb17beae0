"""The management console: etsy/statsd's answers, and peers that behave badly."""

import json
import socket

import pytest
from programs import wait_for
from statsd_support import RecordedView

from graphing.statsd.admin import console as module
from graphing.statsd.admin.console import Console
from graphing.statsd.model.protocol import Kind

END = b"END\n\n"
HELP = (
    b"Commands: stats, counters, timers, gauges, delcounters, deltimers, delgauges, health, config, quit,"
    b" sets, delsets, live [PATTERN]\n\n"
)

# Command and answer, recorded from etsy/statsd 0.9.0 in this order, after
#   web.hits:3|c web.hits:2|c app.a.one:1|c app.a.two:1|c app.b:1|c web.time:320|ms web.time:100.5|ms load:1.5|g
#   users:a|s users:b|s broken fol.t:1|ms fol.t.u:1|ms fol.g:1|g folx.g:2|g a.*:4|c a.b:1|c
ETSY = [
    (b"delcounters web.hits\n", b"deleted: web.hits\nEND\n\n"),
    (b"delcounters web.hits\n", b"metric web.hits not found\nEND\n\n"),
    (b"delcounters app.a.* nope\n", b"deleted: app.a.one\ndeleted: app.a.two\nmetric nope not found\nEND\n\n"),
    (b"delcounters\n", b"END\n\n"),
    (b"delcounters app.b app.b\n", b"deleted: app.b\nmetric app.b not found\nEND\n\n"),
    (b"delcounters a.*\n", b"deleted: a.\ndeleted: a.b\nEND\n\n"),
    (b"deltimers fol.*\n", b"deleted: fol.t\ndeleted: fol.t.u\nEND\n\n"),
    (b"deltimers web.time extra\n", b"deleted: web.time\nmetric extra not found\nEND\n\n"),
    (b"delgauges fol.* load\n", b"deleted: fol.g\ndeleted: load\nEND\n\n"),
    (b"delgauges zz.*\n", b"metric zz.* not found\nEND\n\n"),
    (b"delgauges  folx.g\n", b"metric  not found\ndeleted: folx.g\nEND\n\n"),
    (b"delcounters .*\n", b"metric .* not found\nEND\n\n"),
    (b"health\n", b"health: up\n"),
    (b"health down\n", b"health: down\n"),
    (b"health\n", b"health: down\n"),
    (b"health UP\n", b"health: up\n"),
    (b"health sideways\n", b"health: up\n"),
    (b"HELP\n", b"ERROR\n"),
    (b"nonsense\n", b"ERROR\n"),
    (b"\n", b"ERROR\n"),
    (b"\r\n", b"ERROR\n"),
    (b" health \r\n", b"health: up\n"),
]


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Peer:
    """A connection to the console, which gets its turns while something is awaited."""

    def __init__(self, served):
        self.socket = socket.create_connection(served.address)
        self.socket.setblocking(False)
        self.console = served.console
        self.received = b""
        self.closed = False

    def pump(self):
        self.console.turn()
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        self.received += data
        self.closed = not data

    def ask(self, command, answer):
        """Send a command; return as many bytes of the answer as `answer` has. The next `ask` finds any more."""
        self.send(command)
        return self.receive(len(answer))

    def send(self, data):
        while data:
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                self.console.turn()

    def receive(self, size):
        wait_for(lambda: self.pump() or len(self.received) >= size or self.closed, lambda: self.received)
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def until_end(self, command):
        self.send(command)
        wait_for(lambda: self.pump() or self.received.endswith(END), lambda: self.received[-200:])
        taken, self.received = self.received, b""
        return taken.removesuffix(END)

    def until_closed(self):
        wait_for(lambda: self.pump() or self.closed, "the end of the connection")
        return self.received


class Served:
    def __init__(self):
        self.view = RecordedView()
        self.clock = Clock()
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = listener.getsockname()
        self.console = Console(listener, self.view, self.clock)
        self.peers = []

    def peer(self):
        self.peers.append(Peer(self))
        return self.peers[-1]


@pytest.fixture
def served():
    made = Served()
    yield made
    made.console.close()
    for peer in made.peers:
        peer.socket.close()


def test_the_answers_are_those_of_etsy(served):
    peer = served.peer()
    transcript = [(command, peer.ask(command, answer)) for command, answer in ETSY]
    assert transcript == ETSY
    assert not any(served.view.buckets[kind] for kind in (Kind.COUNTER, Kind.TIMER, Kind.GAUGE))


@pytest.mark.parametrize("command", [b"help\n", b"help\r\n", b"  help  \n", b"help me\n"])
def test_help_begins_with_the_commands_of_etsy(served, command):
    assert served.peer().ask(command, HELP) == HELP


def test_stats_are_lines_of_name_and_value(served):
    assert served.peer().until_end(b"stats\n") == (
        b"uptime: 4\nmessages.last_msg_seen: 2\nmessages.bad_lines_seen: 1\n"
    )


def test_the_configuration_is_written_as_etsy_writes_it(served):
    expected = (
        b"\nstatsd > port: 8125\nstatsd > tcp: false\nstatsd > percentiles: 90,99.9\n"
        b'statsd > histograms: [{"match": "x"}]\ncarbon > host: localhost\nwatch > 0: a\nwatch > 1: b\ndebug: true\n'
    )
    peer = served.peer()
    assert peer.ask(b"config\n", expected) == expected
    assert peer.ask(b"health\n", b"health: up\n") == b"health: up\n"


def test_quit_ends_the_connection(served):
    peer = served.peer()
    peer.send(b"health\nquit now\nhealth\n")
    assert peer.until_closed() == b"health: up\n"


def test_a_dump_is_json_with_a_bucket_a_line_because_clients_count_the_lines(served):
    peer = served.peer()
    text = peer.until_end(b"counters\n")
    assert json.loads(text) == served.view.counters()
    assert text.startswith(b'{\n  "web.hits": 5,\n  "app.a.one": 1,\n')
    assert len(text.splitlines()) == len(served.view.counters()) + 2
    assert json.loads(peer.until_end(b"timers\n")) == served.view.timers()
    assert json.loads(peer.until_end(b"gauges\n")) == served.view.gauges()
    assert json.loads(peer.until_end(b"sets\n"))["users"] in (["a", "b"], ["b", "a"])
    peer.until_end(b"delsets users\n")
    assert peer.until_end(b"sets\n") == b"{}\n"


def test_a_dump_holds_every_value_of_large_buckets_and_no_infinity(served):
    served.view.timers()["long"] = [float(number) for number in range(10_001)]
    served.view.timers()["none"] = []
    served.view.counters()["beyond"] = float("inf")
    peer = served.peer()
    assert json.loads(peer.until_end(b"timers\n")) == served.view.timers()
    assert json.loads(peer.until_end(b"counters\n"))["beyond"] is None


def test_a_bucket_that_vanishes_during_a_dump_is_left_out(served):
    served.view.buckets[Kind.COUNTER] = {f"bucket{number}": 1.0 for number in range(200_000)}
    peer = served.peer()
    peer.send(b"counters\n")
    wait_for(lambda: peer.pump() or peer.received, "the beginning")
    del served.view.counters()["bucket199999"]
    served.view.counters()["new"] = 1.0
    shown = json.loads(peer.until_end(b""))
    assert len(shown) == 199_999
    assert "bucket0" in shown


def test_live_shows_kind_and_value_of_the_buckets_whose_name_contains_a_pattern(served):
    peer = served.peer()
    text = peer.until_end(b"live web\n")
    assert text.count(b"\n") == 1
    assert json.loads(text) == {"web.hits": ["counters", 5], "web.time": ["timers", 2, 210.25]}
    everything = json.loads(peer.until_end(b"live\n"))
    assert len(everything) == sum(map(len, served.view.buckets.values()))
    assert everything["users"] == ["sets", 2]
    assert everything["load"] == ["gauges", 1.5]
    assert peer.until_end(b"live nothing\n") == b"{}\n"


def test_live_shows_the_busiest_thousand(served):
    counters = served.view.buckets[Kind.COUNTER] = {f"c{number}": 0.0 for number in range(6_000)}
    busy = {f"c{number}" for number in range(0, 6_000, 6)}
    counters.update(dict.fromkeys(busy, 9.0))
    assert json.loads(served.peer().until_end(b"live c\n")).keys() == busy


def test_the_answer_to_several_commands_at_once_is_one_each(served):
    peer = served.peer()
    expected = b"health: up\nERROR\nhealth: down\n"
    assert peer.ask(b"health\nnonsense\nhealth down\n", expected) == expected


def test_an_empty_line_that_comes_with_a_command_has_no_answer(served):
    # etsy's own check_statsd_health sends it, and compares all it gets with `health: up`.
    peer = served.peer()
    assert peer.ask(b"health\n\n", b"health: up\n") == b"health: up\n"
    assert peer.ask(b"nonsense\n", b"ERROR\n") == b"ERROR\n"
    assert peer.ask(b"health\n", b"health: up\n") == b"health: up\n"


def test_a_command_may_come_in_pieces(served):
    peer = served.peer()
    for piece in (b"del", b"counters web", b".hi", b"ts\n"):
        peer.send(piece)
        peer.pump()
    assert peer.until_end(b"") == b"deleted: web.hits\n"


def test_a_command_without_a_newline_is_answered_when_nothing_follows(served):
    peer = served.peer()
    peer.send(b"health")
    for _ in range(4):
        peer.pump()
        served.clock.now += 0.1
    assert peer.received == b""
    served.clock.now += 1
    assert peer.receive(len(b"health: up\n")) == b"health: up\n"


def test_half_a_name_is_never_deleted(served):
    peer = served.peer()
    peer.send(b"delcounters app.a.*")
    for _ in range(100):
        peer.pump()
        served.clock.now += 1
    assert peer.received == b""
    assert "app.a.one" in served.view.counters()


def test_who_has_said_everything_gets_all_answers(served):
    peer = served.peer()
    peer.send(b"counters\nhealth")
    peer.socket.shutdown(socket.SHUT_WR)
    assert peer.until_closed().endswith(b"}\nEND\n\nhealth: up\n")


def test_answers_go_through_slow_readers_unharmed(served):
    served.view.buckets[Kind.COUNTER] = {f"bucket{number}": 1.0 for number in range(300_000)}
    slow, other = served.peer(), served.peer()
    slow.send(b"counters\n")
    for _ in range(1000):
        served.console.turn()
    # More than the kernel takes waits, and nobody else has to.
    assert other.ask(b"health\n", b"health: up\n") == b"health: up\n"
    assert json.loads(slow.until_end(b"")) == served.view.counters()


def test_a_long_answer_does_not_keep_others_waiting(served, monkeypatch):
    served.view.buckets[Kind.COUNTER] = {f"bucket{number}": 1.0 for number in range(100_000)}
    # Hardly more than a piece a turn.
    monkeypatch.setattr(module, "_TURN_SECONDS", 1e-5)
    long, other = served.peer(), served.peer()
    long.send(b"counters\n")
    wait_for(lambda: long.pump() or long.received, "the beginning")
    other.send(b"health\n")
    while not other.received:
        long.pump()
        other.pump()
        assert not long.received.endswith(END)
    assert json.loads(long.until_end(b"")) == served.view.counters()


def test_a_peer_that_does_not_read_its_answer_is_dropped(served):
    served.view.buckets[Kind.COUNTER] = {f"bucket{number}": 1.0 for number in range(300_000)}
    peer, other = served.peer(), served.peer()
    peer.send(b"counters\n")
    other.ask(b"health\n", b"health: up\n")
    for _ in range(1000):
        served.console.turn()
    served.clock.now += 31
    served.console.turn()
    assert not peer.until_closed().endswith(END)
    assert other.ask(b"health\n", b"health: up\n") == b"health: up\n"


def test_a_peer_that_says_nothing_for_ten_minutes_is_dropped(served):
    quiet, lively = served.peer(), served.peer()
    for peer in (quiet, lively):
        peer.ask(b"health\n", b"health: up\n")
    served.clock.now += 599
    assert lively.ask(b"health\n", b"health: up\n") == b"health: up\n"
    served.clock.now += 2
    assert quiet.until_closed() == b""
    assert lively.ask(b"health\n", b"health: up\n") == b"health: up\n"


def test_a_line_that_never_ends_ends_the_connection(served):
    peer, other = served.peer(), served.peer()
    peer.send(b"x" * (64 * 1024 + 1))
    assert peer.until_closed() == b"ERROR: line too long\n"
    assert other.ask(b"health\n", b"health: up\n") == b"health: up\n"


def test_the_33rd_connection_is_refused_until_one_ends(served):
    peers = [served.peer() for _ in range(32)]
    for peer in peers:
        peer.ask(b"health\n", b"health: up\n")
    refused = served.peer()
    refused.send(b"health\n")
    assert refused.until_closed() == b"ERROR: too many connections\n"
    peers[0].send(b"quit\n")
    peers[0].until_closed()
    assert served.peer().ask(b"health\n", b"health: up\n") == b"health: up\n"


@pytest.mark.parametrize("reset", [True, False])
def test_peers_that_break_off_do_no_harm(served, reset):
    served.view.buckets[Kind.COUNTER] = {f"bucket{number}": 1.0 for number in range(100_000)}
    for _ in range(20):
        peer = served.peer()
        peer.send(b"counters\n" * 3)
        served.console.turn()
        if reset:
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.socket.close()
        served.console.turn()
    assert served.peer().ask(b"health\n", b"health: up\n") == b"health: up\n"


def test_any_bytes_are_answered(served):
    peer = served.peer()
    assert peer.until_end(b"delsets \xff\xe4\x00\x1b[2J __proto__\n") == (
        b"metric \xff\xe4\x00\x1b[2J not found\nmetric __proto__ not found\n"
    )


def test_a_turn_ends_though_there_is_more_to_do(served, monkeypatch):
    monkeypatch.setattr(module, "_TURN_SECONDS", 0.0)
    peer = served.peer()
    peer.send(b"counters\n")
    for _ in range(5):
        peer.pump()
    monkeypatch.setattr(module, "_TURN_SECONDS", 0.02)
    assert peer.received == b""
    assert json.loads(peer.until_end(b"")) == served.view.counters()


def test_close_ends_everything(served):
    peer = served.peer()
    peer.ask(b"health\n", b"health: up\n")
    served.console.close()
    assert peer.socket.recv(10) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(served.address)
    served.console = Console(socket.create_server(("127.0.0.1", 0)), served.view)
