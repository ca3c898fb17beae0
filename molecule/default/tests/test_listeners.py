"""Who listens where, as the kernel tells it."""

import pytest

PUBLIC = {("udp", 8125), ("tcp", 2003), ("tcp", 80), ("tcp", 443), ("tcp", 8081), ("tcp", 22)}


def listening(host):
    found = set()
    for line in host.check_output("ss -Hlntu").splitlines():
        proto, _, _, _, local = line.split()[:5]
        address, port = local.rsplit(":", 1)
        found.add((proto, address.split("%")[0], int(port)))
    return found


@pytest.mark.parametrize("socket", ["udp://8125", "tcp://2003", "tcp://80", "tcp://443", "tcp://8081"])
def test_the_port_is_open(host, socket):
    assert host.socket(socket).is_listening


def test_nothing_else_is_public(host):
    public = {(proto, port) for proto, address, port in listening(host) if not address.startswith(("127.", "[::1]"))}
    # An application that sends by UDP has a port of its own while it lives; it is not a listener of ours.
    assert {entry for entry in public if entry[0] == "tcp" or entry[1] < 32768} == PUBLIC


@pytest.mark.parametrize("port", [2103, 7002])
def test_the_caches_are_on_loopback_alone(host, port):
    assert {address for proto, address, found in listening(host) if (proto, found) == ("tcp", port)} == {"127.0.0.1"}


def test_the_firewall_lets_in_what_the_roles_declare(host):
    rules = host.check_output("nft list chain inet graphing input")
    assert "policy drop" in rules
    assert "tcp dport 80 accept" in rules
    assert "tcp dport 443 accept" in rules
    assert "tcp dport 2003" not in rules, "carbon_networks is empty: this host alone"
