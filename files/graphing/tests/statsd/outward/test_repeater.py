"""Copies for other servers: packing, UDP, TCP, and servers that are not there."""

import contextlib
import itertools
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ports import reserve_port
from programs import wait_for
from statsd_support import has_ipv6

from graphing.statsd.outward import repeater as module
from graphing.statsd.outward.repeater import Repeater, pack
from graphing.statsd.settings import RepeaterSection as Settings

RESET = b"\1\0\0\0\0\0\0\0"


@contextlib.contextmanager
def repeating(*servers, protocol="udp", **options):
    repeater = Repeater(Settings(servers=servers, protocol=protocol), **options)
    yield repeater
    repeater.close()


def name_of(listening):
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@pytest.fixture
def inbox():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.setblocking(False)
        yield made


@pytest.fixture
def listener():
    """A server whose port stays its own when it is closed."""
    with socket.create_server(("127.0.0.1", reserve_port())) as made:
        made.setblocking(False)
        yield made


def datagrams(inbox):
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(inbox.recv(65536))
    return found


class Peer:
    """A server that is reached by TCP, and what it has read."""

    def __init__(self, repeater, listener):
        self._repeater = repeater
        self._listener = listener
        self.received = b""
        self.socket = None
        wait_for(self._accept, "a connection")

    def _accept(self):
        self._repeater.turn()
        with contextlib.suppress(BlockingIOError):
            self.socket, _ = self._listener.accept()
            self.socket.setblocking(False)
        return self.socket

    def read(self):
        self._repeater.turn()
        with contextlib.suppress(BlockingIOError):
            self.received += self.socket.recv(1 << 20)

    def receive(self, size):
        wait_for(lambda: self.read() or len(self.received) >= size, lambda: (len(self.received), self.received[-100:]))
        taken, self.received = self.received, b""
        return taken

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.close()


# Packing

LINES = st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")))


@given(LINES, st.integers(1, 20))
def test_packing_loses_and_reorders_nothing_and_keeps_the_size(lines, largest):
    packets = list(pack(b"\n".join(lines), largest))
    assert [line for packet in packets for line in packet.split(b"\n") if line] == [line for line in lines if line]
    assert all(len(packet) <= largest or b"\n" not in packet for packet in packets)
    assert all(packets)


@given(LINES, st.integers(1, 20))
def test_packets_are_as_few_as_can_be(lines, largest):
    lines = [line for line in lines if line]
    packets = list(pack(b"\n".join(lines), largest))
    for packet, following in itertools.pairwise(packets):
        assert len(packet) + 1 + len(following.split(b"\n")[0]) > largest


def test_a_packet_may_be_just_as_large_as_allowed():
    assert list(pack(b"abc\ndef", 7)) == [b"abc\ndef"]
    assert list(pack(b"abc\ndef\n", 7)) == [b"abc\ndef"]
    assert list(pack(b"abc\ndef", 6)) == [b"abc", b"def"]
    assert list(pack(b"abcdefgh\na\nb", 3)) == [b"abcdefgh", b"a\nb"]


# UDP


def test_a_copy_goes_to_every_server(inbox):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
        second.bind(("127.0.0.1", 0))
        second.setblocking(False)
        with repeating(name_of(inbox), name_of(second)) as repeater:
            repeater.send(memoryview(b"a:1|c\nb:2|c"))
            repeater.send(b"c:3|c")
            repeater.turn()
            assert datagrams(inbox) == datagrams(second) == [b"a:1|c\nb:2|c\nc:3|c"]
            assert repeater.collect_counts() == (2, 0)
            assert repeater.collect_counts() == (0, 0)


def test_datagrams_fit_into_a_frame_and_hold_whole_lines(inbox):
    lines = [b"bucket%d:1|c" % number for number in range(500)]
    with repeating(name_of(inbox)) as repeater:
        repeater.send(b"\n".join(lines))
        repeater.turn()
        found = datagrams(inbox)
        assert b"\n".join(found).split(b"\n") == lines
        assert max(map(len, found)) <= 1_432
        assert repeater.collect_counts() == (len(found), 0)


def test_what_was_given_is_copied_as_its_memory_is_used_again(inbox):
    memory = bytearray(b"a:1|c")
    with repeating(name_of(inbox)) as repeater:
        repeater.send(memoryview(memory))
        memory[:] = b"b:2|c"
        repeater.turn()
        assert datagrams(inbox) == [b"a:1|c"]


def test_what_waits_is_bounded_and_sent_before_the_turn(inbox):
    inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    with repeating(name_of(inbox)) as repeater:
        for _ in range(100):
            repeater.send(b"a:1|c\n" * 110)
        assert datagrams(inbox)


def test_close_sends_what_waits(inbox):
    with repeating(name_of(inbox)) as repeater:
        repeater.send(b"a:1|c")
    assert datagrams(inbox) == [b"a:1|c"]


def test_nobody_listens_and_it_harms_nothing(inbox):
    with repeating(f"127.0.0.1:{reserve_port()}", name_of(inbox)) as repeater:
        for _ in range(10):
            repeater.send(b"a:1|c")
            repeater.turn()
        assert datagrams(inbox) == [b"a:1|c"] * 10


def test_what_the_kernel_refuses_is_dropped_counted_and_logged_once(inbox, caplog):
    with repeating(name_of(inbox)) as repeater:
        for _ in range(5):
            repeater.send(b"x" * 70_000)
            repeater.send(b"a:1|c")
            repeater.turn()
        assert repeater.collect_counts() == (5, 5)
        assert datagrams(inbox) == [b"a:1|c"] * 5
    assert len(caplog.messages) == 1
    assert name_of(inbox) in caplog.text


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_ipv6_works_too(protocol):
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET6, kind) as listening:
        listening.bind(("::1", 0))
        listening.setblocking(False)
        if protocol == "tcp":
            listening.listen()
        with repeating(name_of(listening), protocol=protocol) as repeater:
            repeater.send(b"six:1|c")
            repeater.turn()
            if protocol == "udp":
                assert datagrams(listening) == [b"six:1|c"]
            else:
                peer = Peer(repeater, listening)
                assert peer.receive(8) == b"six:1|c\n"
                peer.socket.close()


# Names


@pytest.fixture
def names(monkeypatch):
    """Stands in for the resolver: what a name leads to, or an error."""
    known = {}
    real = socket.getaddrinfo

    def look_up(host, port, *arguments, **options):
        if host[0].isdigit() or options.get("flags") != 0:
            return real(host, port, *arguments, **options)
        if host not in known:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(known[host], port, *arguments, **options)

    monkeypatch.setattr(module.socket, "getaddrinfo", look_up)
    return known


def test_a_name_is_looked_up(inbox, names):
    names["copies.example"] = "127.0.0.1"
    with repeating(f"copies.example:{inbox.getsockname()[1]}") as repeater:

        def arrived():
            repeater.send(b"a:1|c")
            repeater.turn()
            return datagrams(inbox)

        assert wait_for(arrived, "a copy")[0] == b"a:1|c"


def test_a_name_that_can_not_be_looked_up_is_tried_again(inbox, names, monkeypatch, caplog):
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    with repeating(f"copies.example:{inbox.getsockname()[1]}", name_of(inbox)) as repeater:
        repeater.send(b"a:1|c")
        repeater.turn()
        assert repeater.collect_counts() == (1, 1)
        wait_for(lambda: "copies.example" in caplog.text, "the complaint")
        names["copies.example"] = "127.0.0.1"

        def both():
            repeater.send(b"b:1|c")
            repeater.turn()
            return repeater.collect_counts() == (2, 0)

        wait_for(both, "both copies")


def test_what_was_known_is_kept_when_the_resolver_fails(inbox, names, monkeypatch, caplog):
    monkeypatch.setattr(module, "_RESOLVE_SECONDS", 0.01)
    names["copies.example"] = "127.0.0.1"
    with repeating(f"copies.example:{inbox.getsockname()[1]}") as repeater:
        wait_for(lambda: repeater.send(b"a:1|c") or repeater.turn() or repeater.collect_counts()[0], "a copy")
        del names["copies.example"]
        wait_for(lambda: "copies.example" in caplog.text, "the complaint")
        repeater.send(b"b:1|c")
        repeater.turn()
        assert repeater.collect_counts() == (1, 0)


def test_a_port_that_does_not_exist_harms_nothing(caplog):
    with repeating("127.0.0.1:70000") as repeater:
        repeater.send(b"a:1|c")
        repeater.turn()
        assert repeater.collect_counts() == (0, 1)
        wait_for(lambda: "127.0.0.1:70000 can't be looked up: no such port" in caplog.text, "the complaint")


# TCP


def test_lines_go_over_one_connection(listener):
    with repeating(name_of(listener), protocol="tcp") as repeater:
        peer = Peer(repeater, listener)
        for blob in (b"a:1|c\nb:2|c", b"c:3|c"):
            repeater.send(blob)
            repeater.turn()
        assert peer.receive(18) == b"a:1|c\nb:2|c\nc:3|c\n"
        assert repeater.collect_counts() == (2, 0)
        with pytest.raises(BlockingIOError):
            listener.accept()
        peer.socket.close()


def test_lines_wait_for_a_server_that_comes_later(listener, caplog):
    address, name = listener.getsockname(), name_of(listener)
    listener.close()
    with repeating(name, protocol="tcp") as repeater:
        repeater.send(b"early:1|c")
        wait_for(lambda: repeater.turn() or "Connection refused" in caplog.text, "the complaint")
        assert repeater.collect_counts() == (0, 0)
        with socket.create_server(address) as late:
            late.setblocking(False)
            peer = Peer(repeater, late)
            assert peer.receive(10) == b"early:1|c\n"
            peer.socket.close()


def test_a_server_that_comes_back_is_found_again(listener):
    with repeating(name_of(listener), protocol="tcp") as repeater:
        for number in range(3):
            peer = Peer(repeater, listener)
            repeater.send(b"round%d:1|c" % number)
            assert peer.receive(11) == b"round%d:1|c\n" % number
            peer.socket.close()
            # What is sent before the end is noticed would be lost.
            wait_for(lambda: repeater.turn() or not repeater._servers[0]._is_connected, "the end of the connection")


def test_a_new_connection_begins_with_a_whole_line(listener):
    lines = [b"bucket%d:1|c" % number for number in range(200_000)]
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with repeating(name_of(listener), protocol="tcp") as repeater:
        peer = Peer(repeater, listener)
        repeater.send(b"\n".join(lines))
        # Full: the kernel has taken a part of a line.
        for _ in range(100):
            repeater.turn()
        assert repeater._servers[0]._batch_sent > 0
        peer.reset()
        batch, sent = repeater._servers[0]._batch, repeater._servers[0]._batch_sent
        first = batch[batch.rfind(b"\n", 0, sent) + 1 :].split(b"\n")[0]
        peer = Peer(repeater, listener)
        expected = sum(len(line) + 1 for line in lines[-1000:])
        wait_for(lambda: peer.read() or peer.received.endswith(lines[-1] + b"\n"), "the last line")
        rest = peer.received.removesuffix(b"\n").split(b"\n")
        assert len(peer.received) > expected
        assert rest == lines[-len(rest) :]
        # Not once more what the kernel had taken already.
        assert rest[0] == first
        peer.socket.close()


def test_more_than_the_queue_may_come_between_two_turns(listener, monkeypatch):
    monkeypatch.setattr(module, "_QUEUE", 100_000)
    with repeating(name_of(listener), protocol="tcp") as repeater:
        peer = Peer(repeater, listener)
        wait_for(lambda: repeater.turn() or repeater._servers[0]._is_connected, "the connection")
        for _ in range(5):
            repeater.send(b"a:1|c\n" * 11_000)
        assert repeater.collect_counts()[1] == 0
        peer.socket.close()


def test_the_oldest_go_when_the_queue_is_full(listener, monkeypatch):
    monkeypatch.setattr(module, "_QUEUE", 10_000)
    address, name = listener.getsockname(), name_of(listener)
    listener.close()
    lines = [b"bucket%d:1|c" % number for number in range(10_000)]
    with repeating(name, protocol="tcp") as repeater:
        for start in range(0, 10_000, 100):
            repeater.send(b"\n".join(lines[start : start + 100]))
            repeater.turn()
        _, dropped = repeater.collect_counts()
        assert dropped > 100
        with socket.create_server(address) as late:
            late.setblocking(False)
            peer = Peer(repeater, late)
            wait_for(lambda: peer.read() or peer.received.endswith(lines[-1] + b"\n"), lambda: peer.received[-100:])
            rest = peer.received.removesuffix(b"\n").split(b"\n")
            assert rest == lines[-len(rest) :]
            assert 5_000 < len(peer.received) <= 11_000
            peer.socket.close()


def test_a_server_that_does_not_read_costs_others_nothing(listener):
    with socket.create_server(("127.0.0.1", 0)) as other_listener:
        other_listener.setblocking(False)
        with repeating(name_of(listener), name_of(other_listener), protocol="tcp") as repeater:
            stuck, other = Peer(repeater, listener), Peer(repeater, other_listener)
            size = 0
            while not repeater.collect_counts()[1]:
                repeater.send(b"stuck:1|c\n" * 6_000)
                size += 60_000
                other.read()
            repeater.send(b"last:1|c")
            wait_for(lambda: other.read() or other.received.endswith(b"last:1|c\n"), "the last line")
            assert len(other.received) == size + 9
            stuck.socket.close()
            other.socket.close()


def test_a_server_that_talks_is_not_listened_to(listener):
    with repeating(name_of(listener), protocol="tcp") as repeater:
        peer = Peer(repeater, listener)
        peer.socket.send(b"hello\n" * 100)
        repeater.turn()
        repeater.send(b"a:1|c")
        assert peer.receive(6) == b"a:1|c\n"
        peer.socket.close()


def test_what_waits_at_the_end_is_counted_as_dropped(listener):
    name = name_of(listener)
    listener.close()
    repeater = Repeater(Settings(servers=(name,), protocol="tcp"))
    repeater.send(b"a:1|c")
    repeater.close()
    assert repeater.collect_counts() == (0, 1)


def test_a_connection_that_never_comes_about_is_given_up(caplog):
    # Its backlog is full, so that the kernel ignores who wants to connect.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as held:
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        now = 0.0
        with repeating(name_of(full), protocol="tcp", clock=lambda: now) as repeater:
            repeater.turn()
            now = 6.0
            repeater.turn()
            assert "no answer" in caplog.text


def test_no_server_is_nothing_to_do():
    with repeating() as repeater:
        repeater.send(b"a:1|c")
        repeater.turn()
        assert repeater.collect_counts() == (0, 0)
