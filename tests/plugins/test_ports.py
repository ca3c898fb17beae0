"""One port for two is named before anything listens."""

import pytest

RELAY = {"port": 2003, "proto": "tcp", "process": ["carbon-c-relay"], "role": "carbon"}
EVENTS = {"port": "8125", "proto": "udp", "process": ["systemd", "graphing"], "role": "statsd"}
CONSOLE = {"port": 8126, "proto": "tcp", "process": ["console"], "role": "statsd", "variable": "statsd_console_port"}


@pytest.fixture(scope="session")
def ports(load):
    return load("plugins/filter/ports.py")


def test_one_port_for_two_is_named_with_whom(ports):
    assert ports.clashes([RELAY, EVENTS, {**CONSOLE, "port": "2003"}]) == [
        "Port 2003/tcp is wanted by role carbon and by statsd_console_port: give one of them another."
    ]


def test_other_ports_protocols_and_the_same_program_are_no_clash(ports):
    assert ports.clashes([RELAY, EVENTS, CONSOLE, {**RELAY, "networks": []}]) == []
    assert ports.clashes([EVENTS, {**EVENTS, "proto": "tcp"}, {**RELAY, "port": 8126, "proto": "udp"}, CONSOLE]) == []


def test_none_is_no_port(ports):
    assert ports.clashes([{**CONSOLE, "port": 0}, {**RELAY, "port": 0}]) == []
