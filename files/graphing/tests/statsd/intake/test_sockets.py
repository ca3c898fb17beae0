"""What the daemon listens on: systemd's sockets, its own, and the console's."""

import contextlib
import gc
import os
import socket
import stat
import threading

import pytest
from statsd_support import has_ipv6

from graphing.statsd.intake import sockets as module
from graphing.statsd.intake.sockets import Sockets, console_listener, kernel_drops, open_sockets
from graphing.statsd.settings import ConsoleSection, StatsdSection

needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


@pytest.fixture(autouse=True)
def held():
    """Close what a test opens."""
    opened = []
    yield opened
    for each in opened:
        each.close()


@pytest.fixture
def opening(held):
    def opener(**settings):
        # The default asks for more than some kernels give.
        held.append(open_sockets(StatsdSection(**{"listen": "127.0.0.1", "receive_buffer": 65_536, **settings})))
        return held[-1]

    return opener


@pytest.fixture
def passing(held, monkeypatch):
    def passer(*sockets):
        held.extend(sockets)
        monkeypatch.setattr(module, "passed_sockets", lambda: list(sockets))

    return passer


def made(family, kind, address, *, listening=False):
    usable = socket.socket(family, kind)
    usable.bind(address)
    if listening:
        usable.listen()
    return usable


def families(sockets):
    return [usable.family for usable in sockets]


def send(family, address, text):
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.sendto(text, address)


# Our own


def test_udp_alone_is_the_default(opening, port):
    sockets = opening(port=port)
    assert families(sockets.datagram) == [socket.AF_INET]
    assert sockets.stream == []
    send(socket.AF_INET, ("127.0.0.1", port), b"a:1|c")
    assert sockets.datagram[0].recv(100) == b"a:1|c"


def test_no_socket_ever_waits(opening, port, tmp_path):
    sockets = opening(port=port, tcp=True, unix_socket=str(tmp_path / "socket"))
    assert len(sockets.datagram) == 2
    assert not any(usable.getblocking() for usable in (*sockets.datagram, *sockets.stream))


def test_tcp_is_on_the_same_address(opening, port):
    sockets = opening(port=port, tcp=True)
    assert [listener.getsockname() for listener in sockets.stream] == [("127.0.0.1", port)]
    socket.create_connection(("127.0.0.1", port)).close()


def test_a_restart_does_not_wait_for_old_connections(opening, port, held):
    first = opening(port=port, tcp=True)
    with socket.create_connection(("127.0.0.1", port)) as client:
        first.stream[0].setblocking(True)
        # Who closes first keeps the port in TIME_WAIT.
        first.stream[0].accept()[0].close()
        assert client.recv(1) == b""
        first.close()
    opening(port=port, tcp=True)


@needs_ipv6
def test_two_colons_are_every_address_of_both_families_on_one_socket(opening, port):
    sockets = opening(listen="::", port=port, tcp=True)
    assert families(sockets.datagram) == families(sockets.stream) == [socket.AF_INET6]
    send(socket.AF_INET, ("127.0.0.1", port), b"four:1|c")
    send(socket.AF_INET6, ("::1", port), b"six:1|c")
    assert {sockets.datagram[0].recv(100), sockets.datagram[0].recv(100)} == {b"four:1|c", b"six:1|c"}
    for address in ("127.0.0.1", "::1"):
        socket.create_connection((address, port)).close()


@pytest.fixture
def both_families(monkeypatch):
    """A name, `both.example`, with an address of each family, one of them twice."""
    real = socket.getaddrinfo

    def look_up(host, *arguments, **options):
        if host != "both.example":
            return real(host, *arguments, **options)
        return [found for each in ("::1", "127.0.0.1", "::1") for found in real(each, *arguments, **options)]

    monkeypatch.setattr(module.socket, "getaddrinfo", look_up)


@needs_ipv6
def test_a_name_of_both_families_makes_a_socket_for_each(opening, port, both_families):
    sockets = opening(listen="both.example", port=port, tcp=True)
    assert families(sockets.datagram) == families(sockets.stream) == [socket.AF_INET6, socket.AF_INET]
    for family, address, inbox in zip(
        (socket.AF_INET6, socket.AF_INET), ("::1", "127.0.0.1"), sockets.datagram, strict=True
    ):
        send(family, (address, port), b"a:1|c")
        assert inbox.recv(100) == b"a:1|c"


@needs_ipv6
def test_if_one_fails_those_before_it_are_closed(port, both_families):
    with made(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port)):
        # What earlier tests forgot to close goes now, not between the two looks.
        gc.collect()
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match=rf"UDP 127\.0\.0\.1 port {port}: Address already in use") as caught:
            open_sockets(StatsdSection(listen="both.example", port=port))
        # The traceback holds the sockets: they are not closed just because nobody knows them any more.
        assert caught.tb
        assert len(os.listdir("/proc/self/fd")) == len(before)
        made(socket.AF_INET6, socket.SOCK_DGRAM, ("::1", port)).close()


def test_a_tcp_port_in_use_is_named_and_udp_is_closed(port, tmp_path):
    path = tmp_path / "socket"
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(OSError, match=rf"TCP 127\.0\.0\.1 port {port}: Address already in use") as caught:
            open_sockets(StatsdSection(listen="127.0.0.1", port=port, tcp=True, unix_socket=str(path)))
        assert caught.tb
        made(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port)).close()
    assert not path.exists()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "192.0.2.255.1"])
def test_a_name_that_leads_nowhere_is_named(host, monkeypatch):
    with pytest.raises(OSError, match=f"{host} port 8125: "):
        open_sockets(StatsdSection(listen=host))


# The receive buffer


def test_the_receive_buffer_is_as_large_as_asked(opening, port, caplog):
    sockets = opening(port=port, receive_buffer=100_000)
    assert sockets.datagram[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 200_000
    assert "rmem_max" not in caplog.text


def test_the_limit_of_the_kernel_is_named_when_it_gives_less(opening, port, caplog, monkeypatch):
    # As for a process without CAP_NET_ADMIN.
    monkeypatch.setattr(module, "_SO_RCVBUFFORCE", 9999)
    opening(port=port, receive_buffer=1024**3)
    assert "receive buffer of " in caplog.text
    assert "net.core.rmem_max" in caplog.text


# Unix sockets


def test_a_unix_socket_is_there_for_everybody_and_goes_with_the_daemon(opening, port, tmp_path):
    path = str(tmp_path / "socket")
    sockets = opening(port=port, unix_socket=path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o666
    send(socket.AF_UNIX, path, b"a:1|c")
    assert sockets.datagram[1].recv(100) == b"a:1|c"
    sockets.close()
    assert not os.path.exists(path)


def test_a_stale_socket_file_is_replaced(opening, port, tmp_path):
    path = str(tmp_path / "socket")
    made(socket.AF_UNIX, socket.SOCK_DGRAM, path).close()
    sockets = opening(port=port, unix_socket=path)
    send(socket.AF_UNIX, path, b"a:1|c")
    assert sockets.datagram[1].recv(100) == b"a:1|c"


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_socket_file_in_use_is_left_alone(kind, port, tmp_path):
    path = str(tmp_path / "socket")
    with made(socket.AF_UNIX, kind, path, listening=kind == socket.SOCK_STREAM) as other:
        with pytest.raises(OSError, match=f"{path}: in use by another process"):
            open_sockets(StatsdSection(listen="127.0.0.1", port=port, unix_socket=path))
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect(path)
            client.send(b"still there")
            receiver = other if kind == socket.SOCK_DGRAM else other.accept()[0]
            assert receiver.recv(100) == b"still there"
            receiver.close()
    # What failed left no UDP socket behind.
    made(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port)).close()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_not_replaced(kind, port, tmp_path):
    path = tmp_path / "precious"
    if kind == "file":
        path.write_text("data")
    elif kind == "folder":
        path.mkdir()
    else:
        made(socket.AF_UNIX, socket.SOCK_DGRAM, str(tmp_path / "socket")).close()
        path.symlink_to("socket")
    before = os.lstat(path).st_ino
    with pytest.raises(OSError, match=f"{path}: exists and is no socket: not replaced"):
        open_sockets(StatsdSection(listen="127.0.0.1", port=port, unix_socket=str(path)))
    assert os.lstat(path).st_ino == before


def test_the_socket_file_of_a_successor_is_not_removed(opening, port, tmp_path):
    path = str(tmp_path / "socket")
    sockets = opening(port=port, unix_socket=path)
    os.unlink(path)
    with made(socket.AF_UNIX, socket.SOCK_DGRAM, path):
        sockets.close()
        assert os.path.exists(path)


def test_a_folder_that_is_missing_or_a_path_too_long_is_named(port, tmp_path):
    for path in (str(tmp_path / "missing" / "socket"), str(tmp_path / ("x" * 200))):
        with pytest.raises(OSError, match=f"{path}: "):
            open_sockets(StatsdSection(listen="127.0.0.1", port=port, unix_socket=path))


# systemd's


def test_what_systemd_passes_is_sorted(passing, tmp_path):
    udp = made(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
    tcp = made(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0), listening=True)
    unix = made(socket.AF_UNIX, socket.SOCK_DGRAM, str(tmp_path / "datagrams"))
    unix_stream = made(socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "stream"), listening=True)
    passing(udp, tcp, unix, unix_stream)
    sockets = open_sockets(StatsdSection(listen="no-such-host.invalid"))
    assert sockets == Sockets([udp, unix], [tcp, unix_stream])
    assert not any(usable.getblocking() for usable in (udp, tcp, unix, unix_stream))


@needs_ipv6
def test_systemd_may_pass_sockets_of_ipv6(passing):
    udp = made(socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 0))
    tcp = made(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0), listening=True)
    passing(udp, tcp)
    assert open_sockets(StatsdSection()) == Sockets([udp], [tcp])


def test_a_listener_alone_is_enough(passing):
    tcp = made(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0), listening=True)
    passing(tcp)
    assert open_sockets(StatsdSection()) == Sockets([], [tcp])


def test_what_can_not_be_used_is_named_and_closed(passing, tmp_path, caplog):
    udp = made(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
    connected, other = socket.socketpair()
    packets = made(socket.AF_UNIX, socket.SOCK_SEQPACKET, str(tmp_path / "packets"), listening=True)
    with other:
        passing(connected, packets, udp)
        assert open_sockets(StatsdSection()) == Sockets([udp], [])
    assert caplog.text.count("systemd passed a socket that can't be used") == 2
    assert connected.fileno() == packets.fileno() == -1


def test_no_usable_socket_of_systemd_is_an_error(passing):
    connected, other = socket.socketpair()
    passing(connected)
    with other, pytest.raises(OSError, match="ListenDatagram="):
        open_sockets(StatsdSection())


def test_settings_that_systemd_overrides_are_named(passing, tmp_path, caplog):
    path = str(tmp_path / "datagrams")
    udp = made(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
    unix_stream = made(socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "stream"), listening=True)
    passing(udp, unix_stream)
    open_sockets(StatsdSection(tcp=True, unix_socket=path))
    assert "statsd.tcp is not used" in caplog.text
    assert "statsd.unix_socket is not used" in caplog.text
    caplog.clear()
    passing(
        made(socket.AF_UNIX, socket.SOCK_DGRAM, path),
        made(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0), listening=True),
    )
    open_sockets(StatsdSection(tcp=True, unix_socket=path))
    assert caplog.messages == []


def test_the_files_of_systemd_are_not_removed(passing, tmp_path):
    path = str(tmp_path / "datagrams")
    passing(made(socket.AF_UNIX, socket.SOCK_DGRAM, path))
    open_sockets(StatsdSection(unix_socket=path)).close()
    assert os.path.exists(path)


# The console's


def test_the_console_has_a_listener(held, port):
    listener = console_listener(ConsoleSection(host="127.0.0.1", port=port))
    held.append(listener)
    assert not listener.getblocking()
    connecting = threading.Thread(target=lambda: socket.create_connection(("127.0.0.1", port)).close())
    connecting.start()
    connecting.join()
    listener.accept()[0].close()


@needs_ipv6
def test_the_console_listens_on_both_families(held, port):
    held.append(console_listener(ConsoleSection(host="::", port=port)))
    for address in ("127.0.0.1", "::1"):
        socket.create_connection((address, port)).close()


def test_port_0_is_no_console():
    assert console_listener(ConsoleSection(port=0)) is None


def test_a_console_that_can_not_be_is_named(port):
    message = rf"TCP 127\.0\.0\.1 port {port}: Address already in use"
    with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError, match=message):
        console_listener(ConsoleSection(host="127.0.0.1", port=port))
    with pytest.raises(OSError, match=r"no-such-host\.invalid port 8126: "):
        console_listener(ConsoleSection(host="no-such-host.invalid"))


# The kernel's drops


def test_the_kernel_tells_what_it_dropped(opening, port, tmp_path):
    sockets = opening(port=port, receive_buffer=4096, unix_socket=str(tmp_path / "socket"))
    assert kernel_drops(sockets.datagram) == 0
    for _ in range(1000):
        send(socket.AF_INET, ("127.0.0.1", port), b"x" * 100)
    received = 0
    with contextlib.suppress(BlockingIOError):
        while sockets.datagram[0].recv(1000):
            received += 1
    assert kernel_drops(sockets.datagram) == 1000 - received > 0
