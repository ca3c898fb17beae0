"""Sending to carbon: nothing is lost in between, and what had to go is counted."""

import socket

from support import Carbon, wait_for

from graphing.statsd.sender import Sender
from graphing.statsd.settings import Carbon as Settings


def started(port, **settings):
    sender = Sender(Settings(port=port, **settings))
    sender.start()
    return sender


def lines(batch, count=400):
    return [f"batch{batch}.line{line} {line} 1700000000\n" for line in range(count)]


def test_lines_arrive_and_are_confirmed_when_it_closes():
    carbon = Carbon()
    sender = started(carbon.port)
    sender.put(lines(0))
    wait_for(lambda: carbon.lines == 400, "the lines")
    assert sender.unconfirmed() == lines(0)
    assert sender.close(10) == []
    assert sender.take_counts() == (400, 0)
    carbon.close()


def test_the_oldest_lines_go_when_the_queue_is_full():
    sender = Sender(Settings(queue_lines=1000))
    for batch in range(4):
        sender.put([f"a {batch} {line}\n" for line in range(400)])
    assert sender.queued() == 800
    assert sender.take_counts() == (0, 800)
    assert sender.unconfirmed()[0] == "a 2 0\n"


def test_a_connection_that_breaks_in_the_middle_of_a_line_sends_the_batch_again():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        sender = started(port)
        # More than the kernel's buffers hold, so that sending is under way when the connection breaks.
        for batch in range(100):
            sender.put(lines(batch, 5000))
        connection, _ = listener.accept()
        connection.recv(1_000_001)
        connection.close()
    carbon = Carbon(port)
    wait_for(lambda: len(carbon.points) == 500_000, lambda: len(carbon.points))
    assert carbon.bad == []
    assert sender.close(10) == []
    assert sender.queued() == 0
    carbon.close()


def test_lines_that_a_dying_carbon_did_not_read_are_sent_again():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        sender = started(port)
        sender.put(lines(0))
        connection, _ = listener.accept()
        wait_for(lambda: sender.queued() == 0, "the lines to be in the kernel")
        connection.close()
    carbon = Carbon(port)
    wait_for(lambda: len(carbon.points) == 400, lambda: len(carbon.points))
    sender.close(10)
    carbon.close()


def test_closing_without_carbon_gives_the_lines_back():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    sender = started(port)
    sender.put(lines(0))
    sender.put(lines(1))
    assert sender.close(10) == lines(0) + lines(1)


def test_closing_does_not_wait_longer_for_a_carbon_that_does_not_read():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = started(listener.getsockname()[1])
        sender.put(lines(0))
        connection, _ = listener.accept()
        wait_for(lambda: sender.queued() == 0, "the lines to be in the kernel")
        assert sender.close(0.2) == lines(0)
        connection.close()


def test_a_host_that_cannot_be_looked_up_is_like_one_that_is_away(caplog):
    sender = started(2003, host="a..b")
    sender.put(lines(0))
    wait_for(lambda: "carbon at a..b port 2003: " in caplog.text, "the complaint")
    assert sender.close(10) == lines(0)
