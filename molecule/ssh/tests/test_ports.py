"""Who gets through to whom: hosts of the server to what they need of each other, others to the page alone."""

import pytest
import testinfra

ADDRESS = {"store": "172.31.0.11", "statsd": "172.31.0.12", "web": "172.31.0.13"}

# From where each port of each host can be reached.
REACHED = {
    ("store", 2003): {"statsd", "web"},
    ("store", 2103): {"statsd"},
    ("store", 7002): set(),
    ("store", 8082): {"web"},
    ("store", 80): set(),
    ("statsd", 8126): set(),
    ("web", 80): {"store", "statsd", "stranger"},
    ("web", 443): {"store", "statsd", "stranger"},
    ("web", 8081): {"store", "statsd", "stranger"},
    ("web", 8082): set(),
    ("store", 22): {"statsd", "web", "stranger"},
}


@pytest.mark.parametrize(("part", "port"), REACHED)
def test_the_port_is_open_to_those_who_need_it(part, port):
    found = set()
    for other in {"store", "statsd", "web", "stranger"} - {part}:
        # Who is kept out gets no answer at all.
        patience = 30 if other in REACHED[part, port] else 2
        attempt = f"timeout {patience} bash -c '</dev/tcp/{ADDRESS[part]}/{port}'"
        if testinfra.get_host(f"docker://molecule-ssh-{other}").run(attempt).rc == 0:
            found.add(other)
    assert found == REACHED[part, port]
