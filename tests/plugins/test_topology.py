"""Which host does what, by the groups of the inventory; and what is wrong with a split one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# What the roles say that hosts must agree on.
SHARED = [
    name
    for file in sorted(ROOT.glob("roles/*/vars/main.yml"))
    for name in yaml.safe_load(file.read_text()).get(f"{file.parts[-3]}_owns", {}).get("shared", [])
]

APART = {"statsd": ["adder"], "carbon": ["store"], "web": ["page"]}
TWO_SERVERS = {"graphing": ["one", "two"]}


@pytest.fixture
def topology(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("plugins/filter/topology.py")


def variables(*hosts: str, **more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Hosts with addresses of their own, and with further variables."""
    return {
        host: {"ansible_facts": {"default_ipv4": {"address": f"192.0.2.{n}"}}} | more.get(host, {})
        for n, host in enumerate(hosts, 1)
    }


def test_a_host_of_graphing_has_all_parts(topology: ModuleType) -> None:
    assert topology.parts(TWO_SERVERS, "one") == ["statsd", "carbon", "web"]
    assert topology.partners(TWO_SERVERS, "two", "carbon") == ["two"]
    assert topology.together(TWO_SERVERS, "one") == ["one"]
    assert topology.clients(TWO_SERVERS, "one", "carbon", ["statsd", "web"]) == []
    assert topology.problems(TWO_SERVERS, "one", {"one": {}, "two": {}}) == []


@pytest.mark.parametrize("groups", [APART, APART | {"graphing": ["adder", "store", "page"]}])
def test_parts_of_hosts_that_stand_apart(topology: ModuleType, groups: dict[str, list[str]]) -> None:
    assert [topology.parts(groups, host) for host in ("adder", "store", "page")] == [["statsd"], ["carbon"], ["web"]]
    assert topology.partners(groups, "adder", "carbon") == ["store"]
    assert topology.partners(groups, "page", "statsd") == ["adder"]
    assert topology.clients(groups, "store", "carbon", ["statsd", "web"]) == ["adder", "page"]
    assert topology.clients(groups, "store", "carbon", ["statsd"]) == ["adder"]
    assert topology.clients(groups, "adder", "statsd", ["web"]) == ["page"]
    assert topology.clients(groups, "page", "carbon", ["statsd", "web"]) == []
    assert sorted(topology.together(groups, "page")) == ["adder", "page", "store"]
    assert topology.problems(groups, "page", variables("adder", "store", "page")) == []


def test_two_parts_on_one_host(topology: ModuleType) -> None:
    groups = {"statsd": ["edge"], "carbon": ["base"], "web": ["base"]}
    assert topology.parts(groups, "base") == ["carbon", "web"]
    assert topology.clients(groups, "base", "carbon", ["statsd", "web"]) == ["edge"]
    assert topology.clients(groups, "edge", "statsd", ["web"]) == ["base"]
    assert topology.problems(groups, "edge", variables("edge", "base")) == []


def test_addresses(topology: ModuleType) -> None:
    known = variables("adder", "store", store={"host_address": "2001:db8::1"})
    assert topology.addresses(["adder", "store"], known) == ["192.0.2.1", "2001:db8::1"]
    assert topology.endpoint("192.0.2.1", 2003) == "192.0.2.1:2003"
    assert topology.endpoint("2001:db8::1", 2003) == "[2001:db8::1]:2003"
    assert (topology.network("192.0.2.1"), topology.network("2001:db8::1")) == ("192.0.2.1/32", "2001:db8::1/128")
    assert topology.address("x", {"x": {"ansible_facts": {"all_ipv4_addresses": ["192.0.2.9"]}}}) == "192.0.2.9"
    assert topology.address("x", {"x": {}}) == ""


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "no store": (
        {"statsd": ["adder"], "web": ["page"]},
        {},
        ["No host of the inventory keeps numbers: put one into group carbon, or into group graphing, which has all."],
    ),
    "no page": (
        {"statsd": ["adder"], "carbon": ["store"]},
        {},
        ["No host of the inventory draws graphs: put one into group web, or into group graphing, which has all."],
    ),
    "two stores": (
        {"statsd": ["adder"], "carbon": ["store", "page"], "web": ["page"]},
        {},
        [
            "adder keeps no numbers itself, and the inventory has 2 hosts that do (store, page): "
            "leave one of them in group carbon, and give the others an inventory of their own."
        ],
    ),
    "no address": (
        APART,
        {"store": {"host_address": "store.example.org"}},
        ["store has no IP address by which adder and page could reach it: set host_address in host_vars/store.yml."],
    ),
    "another port": (
        APART,
        {"adder": {"carbon_port": 2013}},
        [
            "carbon_port differs between hosts that work together (not set for store, 2013 for adder, not set for "
            "page): set it once for all of them, in group_vars/all.yml."
        ],
    ),
    "tags without a page": (
        APART,
        {"store": {"carbon_tags": True}},
        ["carbon_tags needs the page where the numbers are: put store into group web too, or leave carbon_tags out."],
    ),
    "two aggregators": (
        {"statsd": ["adder", "page"], "carbon": ["store"], "web": ["page"]},
        {"page": {"statsd_prefix": "stats.page"}},
        [
            "adder and page would write the same series on store: give each a statsd_settings.health_prefix of its own "
            "in host_vars, or leave one of them in group statsd."
        ],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_the_remedy(topology: ModuleType, case: str) -> None:
    groups, more, sentences = WRONG[case]
    assert topology.problems(groups, "adder", variables("adder", "store", "page", **more), SHARED) == sentences


def test_two_aggregators_with_names_of_their_own(topology: ModuleType) -> None:
    groups = {"statsd": ["adder", "page"], "carbon": ["store"], "web": ["page"]}
    own = {"statsd_prefix": "stats.page", "statsd_settings": {"health_prefix": "statsd.page"}}
    assert topology.problems(groups, "adder", variables("adder", "store", "page", page=own), SHARED) == []
