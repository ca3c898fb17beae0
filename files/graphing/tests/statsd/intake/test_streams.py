"""Metrics over TCP and Unix streams: whole lines come out, whatever the peers do."""

import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import wait_for
from statsd_support import has_ipv6

from graphing.statsd.intake import streams as module
from graphing.statsd.intake.streams import LONGEST_LINE, Lines, Streams

RESET = b"\1\0\0\0\0\0\0\0"


class Served:
    """Streams, and all that they have received."""

    def __init__(self, *listeners):
        self.addresses = [listener.getsockname() for listener in listeners]
        self.families = [listener.family for listener in listeners]
        self.streams = Streams(list(listeners))
        self.received = []

    def connect(self, which=0):
        client = socket.socket(self.families[which])
        client.connect(self.addresses[which])
        return client

    def lines(self):
        return [line for blob, _ in self.received for line in blob.split(b"\n")]

    def turn(self):
        self.received += self.streams.turn()

    def until(self, condition):
        wait_for(lambda: self.turn() or condition(), lambda: self.lines()[-5:])

    def receive(self, count):
        """Take turns until that many lines have come; return them."""
        self.until(lambda: len(self.lines()) >= count)
        lines = self.lines()
        self.received.clear()
        return lines


@pytest.fixture
def served():
    made = Served(socket.create_server(("127.0.0.1", 0)))
    yield made
    made.streams.close()


def test_lines_arrive_with_the_name_of_their_peer(served):
    with served.connect() as client:
        client.sendall(b"a:1|c\nb:2|c\n")
        served.until(lambda: served.received)
        assert served.received == [(b"a:1|c\nb:2|c", f"127.0.0.1 port {client.getsockname()[1]}")]


def test_a_line_may_come_in_pieces(served):
    with served.connect() as client:
        for piece in (b"web", b".hits:", b"1|c", b"\nne"):
            client.sendall(piece)
            served.turn()
        assert served.receive(1) == [b"web.hits:1|c"]
        client.sendall(b"xt:1|c\n")
        assert served.receive(1) == [b"next:1|c"]


def test_a_last_line_without_a_newline_counts_when_the_peer_closes(served):
    with served.connect() as client:
        client.sendall(b"a:1|c\nb:2|c")
        assert served.receive(1) == [b"a:1|c"]
    assert served.receive(1) == [b"b:2|c"]
    served.turn()
    assert served.streams.bad == 0


def test_it_is_enough_that_the_peer_closes_its_side(served):
    with served.connect() as client:
        client.sendall(b"a:1|c")
        client.shutdown(socket.SHUT_WR)
        assert served.receive(1) == [b"a:1|c"]


def test_what_a_broken_connection_cut_off_is_no_line(served):
    with served.connect() as client, served.connect() as other:
        client.sendall(b"whole:1|c\ncut:12")
        assert served.receive(1) == [b"whole:1|c"]
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()
        other.sendall(b"after:1|c\n")
        assert served.receive(1) == [b"after:1|c"]
        served.turn()
        assert served.received == []


def test_a_line_too_long_is_dropped_and_counted_once(served):
    with served.connect() as client:
        client.sendall(b"before:1|c\n" + b"x" * (3 * LONGEST_LINE) + b"\nafter:1|c\n")
        served.until(lambda: b"after:1|c" in served.lines())
        assert [line for line in served.lines() if line] == [b"before:1|c", b"after:1|c"]
        assert served.streams.bad == 1


def test_a_line_too_long_counts_before_its_newline_comes(served):
    with served.connect() as client:
        client.sendall(b"x" * (LONGEST_LINE + 1))
        served.until(lambda: served.streams.bad)
    served.turn()
    assert served.streams.bad == 1
    assert served.received == []


def test_connections_do_not_mix(served):
    with served.connect() as one, served.connect() as two:
        for client, piece in ((one, b"one."), (two, b"two."), (one, b"a:1|c\n"), (two, b"b:1|c\n")):
            client.sendall(piece)
            served.turn()
        assert sorted(served.receive(2)) == [b"one.a:1|c", b"two.b:1|c"]


def test_a_flood_does_not_keep_others_waiting(served, monkeypatch):
    # One read a turn.
    monkeypatch.setattr(module, "_BYTES_PER_TURN", LONGEST_LINE)
    with served.connect() as flood, served.connect() as other:
        flood.setblocking(False)
        other.sendall(b"other:1|c\n")
        turns = 0
        while b"other:1|c" not in served.lines():
            with contextlib.suppress(BlockingIOError):
                flood.send(b"flood:1|c\n" * 100_000)
            served.received.clear()
            served.turn()
            turns += 1
            assert turns < 100


def test_a_turn_is_bounded_and_nothing_is_lost(served, monkeypatch):
    monkeypatch.setattr(module, "_BYTES_PER_TURN", 2 * LONGEST_LINE)
    clients = [served.connect() for _ in range(4)]
    served.turn()
    sent = {index: [b"c%d.%d:1|c" % (index, number) for number in range(20_000)] for index in range(4)}
    rests = [b"\n".join(sent[index]) + b"\n" for index in range(4)]
    for index, client in enumerate(clients):
        client.setblocking(False)
        rests[index] = rests[index][client.send(rests[index]) :]
    served.turn()
    assert LONGEST_LINE < sum(len(blob) for blob, _ in served.received) <= 2 * LONGEST_LINE
    for index, client in enumerate(clients):
        while rests[index]:
            with contextlib.suppress(BlockingIOError):
                rests[index] = rests[index][client.send(rests[index]) :]
            served.turn()
    served.until(lambda: len(served.lines()) >= 80_000)
    for index in range(4):
        assert [line for line in served.lines() if line.startswith(b"c%d." % index)] == sent[index]
    for client in clients:
        client.close()


def test_connections_are_limited(served, monkeypatch):
    monkeypatch.setattr(module, "_CONNECTIONS", 3)
    clients = [served.connect() for _ in range(3)]
    clients[0].sendall(b"a:1|c\n")
    served.receive(1)
    with served.connect() as refused:
        refused.setblocking(False)

        def is_closed():
            served.turn()
            try:
                return refused.recv(10) == b""
            except BlockingIOError:
                return False

        wait_for(is_closed, "the refusal")
    for client in clients:
        client.sendall(b"still:1|c\n")
    assert served.receive(3) == [b"still:1|c"] * 3
    clients.pop().close()
    served.turn()
    clients.append(served.connect())
    clients[-1].sendall(b"new:1|c\n")
    assert served.receive(1) == [b"new:1|c"]
    for client in clients:
        client.close()


def test_many_connections_come_and_go(served):
    for _ in range(300):
        with served.connect() as client:
            client.sendall(b"a:1|c\n")
            # Or the listener's backlog would fill.
            served.turn()
    assert served.receive(300) == [b"a:1|c"] * 300
    # They are all closed: nothing is left to report.
    served.until(lambda: not served.streams._connections)


def test_a_unix_stream_works_too(tmp_path):
    path = str(tmp_path / "lines.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    served = Served(listener, socket.create_server(("127.0.0.1", 0)))
    with served.connect(0) as unix, served.connect(1) as tcp:
        unix.sendall(b"unix:1|c\n")
        tcp.sendall(b"tcp:1|c\n")
        served.until(lambda: len(served.received) == 2)
        names = dict(served.received)
        assert names[b"unix:1|c"] == f"Unix socket {path!r}"
        assert names[b"tcp:1|c"].startswith("127.0.0.1 port ")
    served.streams.close()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_ipv6_works_too():
    served = Served(socket.create_server(("::1", 0), family=socket.AF_INET6))
    with served.connect() as client:
        client.sendall(b"six:1|c\n")
        served.until(lambda: served.received)
        assert served.received == [(b"six:1|c", f"::1 port {client.getsockname()[1]}")]
    served.streams.close()


def test_no_listener_is_nothing_to_do():
    streams = Streams([])
    assert streams.turn() == []
    streams.close()


def test_close_ends_everything(served):
    with served.connect() as client:
        client.sendall(b"a:1|c\n")
        served.receive(1)
        served.streams.close()
        assert client.recv(10) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(served.addresses[0])
    served.streams = Streams([])


# Splitting

LONGEST = 8


def split_lines(chunks):
    """Return the lines that come out, empty ones left out, and how many were too long."""
    lines = Lines(LONGEST)
    blobs = [lines.feed(chunk) for chunk in chunks] + [lines.end()]
    return [line for blob in blobs for line in blob.split(b"\n") if line], lines.bad


@given(st.lists(st.binary(min_size=1, max_size=LONGEST) | st.sampled_from([b"\n", b"\n\n", b"a\nb", b"abcdefg\n"])))
def test_any_chunking_of_any_bytes_gives_the_same_lines(chunks):
    lines, bad = split_lines(chunks)
    expected = b"".join(chunks).split(b"\n")
    assert lines == [line for line in expected if 0 < len(line) <= LONGEST]
    assert bad == sum(len(line) > LONGEST for line in expected)


@given(st.text("ab\n", max_size=60), st.lists(st.integers(1, LONGEST), min_size=60, max_size=60))
def test_lines_do_not_depend_on_where_they_are_cut(text, sizes):
    data, chunks = text.encode(), []
    for size in sizes:
        chunks.append(data[:size])
        data = data[size:]
    assert split_lines(filter(None, chunks)) == split_lines(bytes([byte]) for byte in text.encode())
