"""One TCP connection in the making: each address is tried, none for too long."""

import socket

import pytest
from ports import reserve_port
from programs import wait_for
from support import Carbon

from graphing.net import dialing
from graphing.net.dialing import Dialing


def test_dialing_tries_each_address(monkeypatch):
    carbon = Carbon()
    kind = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
    servers = ("255.255.255.255", 1), ("127.0.0.1", reserve_port()), ("127.0.0.1", carbon.port)
    addresses = [(*kind, server) for server in servers]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(addresses))
    dialing = Dialing("several", 2003)
    connection = wait_for(dialing.turn, "a connection")
    assert connection.getpeername() == ("127.0.0.1", carbon.port)
    connection.close()
    carbon.close()
    dialing = Dialing("several", 2003)
    with pytest.raises(ConnectionRefusedError):
        wait_for(dialing.turn, "an error")
    assert dialing.fileno() == -1


def test_dialing_gives_up_an_address_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(dialing, "_CONNECT_TIMEOUT", 0.0)
    monkeypatch.setattr(dialing, "_ready", lambda *_: False)
    attempt = Dialing("127.0.0.1", reserve_port())
    with pytest.raises(TimeoutError, match="no answer"):
        attempt.turn()


def test_a_connection_to_itself_is_none():
    # Bound and connected to one address: what TCP may do by chance on one host.
    port = reserve_port()
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    own.bind(("127.0.0.1", port))
    own.connect(("127.0.0.1", port))
    dialing = Dialing("127.0.0.1", port)
    dialing.close()
    dialing._socket = own
    with pytest.raises(ConnectionRefusedError):
        dialing.turn()
