"""Lists of networks: what is wrong with one, and the rules of a security group that are made of it."""

import pytest


@pytest.fixture(scope="session")
def networks(load):
    return load("plugins/filter/networks.py")


@pytest.mark.parametrize("good", [[], ["192.0.2.0/24"], ["2001:db8::/32", "0.0.0.0/0"], ["192.0.2.7/32"]])
def test_networks_pass(networks, good):
    assert networks.network_problems(good, "x") == []


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("192.0.2.0/24", "x is '192.0.2.0/24', which is no list: write x: [192.0.2.0/24]."),
        (["192.0.2.7/24"], "x: 192.0.2.7/24 is not a network: write 192.0.2.0/24."),
        (["office"], "x: office is not a network: write it like 192.0.2.0/24"),
        (["10.0.0.0/33"], "x: 10.0.0.0/33 is not a network"),
        ([None], "x: None is not a network"),
    ],
)
def test_what_is_no_network_is_named_with_what_to_write(networks, bad, complaint):
    (problem,) = networks.network_problems(bad, "x")
    assert problem.startswith(complaint)


def test_the_whole_internet_is_told_in_both_families(networks):
    assert networks.everywhere(["192.0.2.0/24", "0.0.0.0/0", "::/0"]) == ["0.0.0.0/0", "::/0"]


def test_a_rule_for_each_network_and_none_without(networks):
    opened = [
        {"name": "SSH", "proto": "tcp", "port": 22, "networks": ["192.0.2.0/24", "2001:db8::/32"]},
        {"name": "events", "proto": "udp", "port": "8125", "networks": []},
    ]
    assert networks.security_group_rules(opened) == [
        {"proto": "tcp", "from_port": 22, "to_port": 22, "cidr_ip": "192.0.2.0/24", "rule_desc": "SSH"},
        {"proto": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv6": "2001:db8::/32", "rule_desc": "SSH"},
    ]


def test_one_port_opened_twice_is_one_rule(networks):
    page = {"name": "web page", "proto": "tcp", "port": 80, "networks": ["192.0.2.0/24"]}
    assert len(networks.security_group_rules([page, {**page, "name": "ACME"}])) == 1
