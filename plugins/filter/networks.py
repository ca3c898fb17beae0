"""Networks that may connect: what is wrong with a list of them, and the rules of an EC2 security group made of it.

Pure functions. A network is written as 192.0.2.0/24 or 2001:db8::/32.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from site_values.network import problem


def network_problems(networks: object, variable: str) -> list[str]:
    """What is wrong with the value of a variable that lists networks, as sentences; an empty list when it is right."""
    if not isinstance(networks, list):
        return [f"{variable} is {networks!r}, which is no list: write {variable}: [192.0.2.0/24]."]
    return [f"{variable}: {network} {wrong}." for network in networks if (wrong := problem(network))]


def everywhere(networks: list[str]) -> list[str]:
    """Those of the networks that are the whole internet."""
    return [network for network in networks if str(network).endswith("/0")]


def security_group_rules(opened: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rules for amazon.aws.ec2_security_group from [{name, proto, port, networks}], one per network, each once."""
    rules: list[dict[str, Any]] = []
    for entry in opened:
        for network in entry["networks"]:
            family = "cidr_ipv6" if ":" in network else "cidr_ip"
            rule = {
                "proto": entry["proto"],
                "from_port": int(entry["port"]),
                "to_port": int(entry["port"]),
                family: network,
            }
            if rule not in [{key: known[key] for key in known if key != "rule_desc"} for known in rules]:
                rules.append({**rule, "rule_desc": entry["name"]})
    return rules


class FilterModule:
    """Hand the filters to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name each filter."""
        return {
            "network_problems": network_problems,
            "networks_everywhere": everywhere,
            "security_group_rules": security_group_rules,
        }
