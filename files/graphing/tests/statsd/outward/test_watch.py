"""Watching carbon-caches behind a relay: a return is told once, with when it was last alive."""

import socket
import time

import pytest
from ports import reserve_port
from programs import DEADLINE, wait_for
from support import Carbon

from graphing.net.dialing import ended
from graphing.statsd.outward import watch as module
from graphing.statsd.outward.watch import Watch


@pytest.fixture
def returns():
    return []


def turn_until(watch, condition, what):
    def turned():
        watch.turn()
        return condition()

    return wait_for(turned, what)


def connected(carbon):
    return lambda: carbon._clients


def test_a_server_that_comes_back_is_told_with_when_it_was_last_alive(returns, caplog):
    carbon = Carbon()
    watch = Watch([f"127.0.0.1:{carbon.port}"], returns.append)
    turn_until(watch, connected(carbon), "a connection")
    watch.turn()
    before = time.time()
    watch.turn()
    last = time.time()
    carbon.close()
    turn_until(watch, lambda: "is gone" in caplog.text, "the end to be noticed")
    again = Carbon(carbon.port)
    assert returns == []
    turn_until(watch, lambda: returns, "the return")
    assert before <= returns[0] <= last
    for _ in range(10):
        watch.turn()
    assert len(returns) == 1
    watch.close()
    again.close()


def test_the_first_success_is_no_return(returns, caplog):
    port = reserve_port()
    watch = Watch([f"127.0.0.1:{port}"], returns.append)
    turn_until(watch, lambda: "Connection refused" in caplog.text, "the refusal")
    carbon = Carbon(port)
    turn_until(watch, connected(carbon), "a connection")
    for _ in range(10):
        watch.turn()
    assert returns == []
    watch.close()
    carbon.close()


def test_each_server_is_watched_by_itself(returns):
    one, other = Carbon(), Carbon()
    watch = Watch([f"127.0.0.1:{one.port}", f"127.0.0.1:{other.port}"], returns.append)
    turn_until(watch, lambda: one._clients and other._clients, "both connections")
    watch.turn()
    other.close()
    other = Carbon(other.port)
    turn_until(watch, lambda: returns, "the return")
    assert (len(returns), len(one._clients)) == (1, 1)
    watch.close()
    one.close()
    other.close()


def test_what_a_server_says_is_noise(returns, caplog):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        watch = Watch([f"127.0.0.1:{server.getsockname()[1]}"], returns.append)
        watch.turn()
        client, _ = server.accept()
        client.sendall(b"hello\n" * 10_000)
        for _ in range(100):
            watch.turn()
        assert "is gone" not in caplog.text
        client.close()
        turn_until(watch, lambda: "is gone" in caplog.text, "the end to be noticed")
        watch.close()


@pytest.mark.parametrize("server", ["a..b:2003", "127.0.0.1:99999", "[::1%nothing]:2003"])
def test_a_server_that_cannot_be_reached_is_named(returns, caplog, server):
    watch = Watch([server], returns.append)
    for _ in range(5):
        watch.turn()
    assert f"carbon at {server}: " in caplog.text
    assert returns == []
    watch.close()


def test_a_server_by_ipv6(returns):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        server.settimeout(DEADLINE)
        watch = Watch([f"[::1]:{server.getsockname()[1]}"], returns.append)
        watch.turn()
        server.accept()[0].close()
        watch.close()


def test_a_server_that_vanished_without_a_word_was_last_alive_before_the_silence(returns, monkeypatch):
    carbon = Carbon()
    watch = Watch([f"127.0.0.1:{carbon.port}"], returns.append)
    turn_until(watch, connected(carbon), "a connection")
    watch.turn()
    last = time.time()
    answers = [TimeoutError("no answer to keepalives")]
    monkeypatch.setattr(module, "ended", lambda connection: answers.pop() if answers else ended(connection))
    watch.turn()
    turn_until(watch, lambda: returns, "the return")
    assert returns[0] <= last - module._SILENT_SECONDS
    watch.close()
    carbon.close()
