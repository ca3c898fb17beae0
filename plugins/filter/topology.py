"""Which host of an inventory runs what, and which of them work together.

Three parts make a graphing server: `statsd` adds events up, `carbon` keeps the numbers, `web` draws them. A group of
each name says which hosts have it; a host of group `graphing` that is in none of the three has all of them. A host
works with its own parts first, and with those of other hosts where it has none.

Pure functions of the parts (playbooks/vars/platform.yml), of the inventory's groups ({name: hosts}) and of hostvars
({host: variables}); nothing is changed.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

Groups = Mapping[str, list[str]]
HostVars = Mapping[str, Mapping[str, Any]]

TABLE = Path(__file__).resolve().parents[2] / "playbooks/vars/platform.yml"

PARTS: dict[str, str] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))["platform_parts"]
"""What each part does, by its name."""


def parts(groups: Groups, host: str) -> list[str]:
    """The parts that a host has."""
    own = [part for part in PARTS if host in groups.get(part, [])]
    return own or (list(PARTS) if host in groups.get("graphing", []) else [])


def members(groups: Groups, part: str) -> list[str]:
    """The hosts that have a part, in the inventory's order."""
    named = dict.fromkeys([*groups.get(part, []), *groups.get("graphing", [])])
    return [host for host in named if part in parts(groups, host)]


def partners(groups: Groups, host: str, part: str) -> list[str]:
    """The hosts whose part a host works with: its own, or else each that there is."""
    return [host] if part in parts(groups, host) else members(groups, part)


def clients(groups: Groups, host: str, part: str, having: list[str]) -> list[str]:
    """The other hosts, each having one of the parts given, that work with this part of a host."""
    others = dict.fromkeys(name for one in having for name in members(groups, one))
    return [name for name in others if name != host and host in partners(groups, name, part)]


def together(groups: Groups, host: str) -> list[str]:
    """The hosts that make one server with a host, the store first; itself alone if no other has a part in it."""
    store = next(iter(partners(groups, host, "carbon")), host)
    return list(dict.fromkeys([store, *clients(groups, store, "carbon", list(PARTS)), host]))


def address(host: str, hostvars: HostVars) -> str:
    """The IP address by which other hosts reach a host; empty if nothing tells."""
    known = hostvars[host]
    if given := known.get("host_address"):
        return str(given)
    facts = known.get("ansible_facts") or {}
    for family in ("default_ipv4", "default_ipv6"):
        if found := (facts.get(family) or {}).get("address"):
            return str(found)
    return next(iter(facts.get("all_ipv4_addresses") or []), "")


def addresses(hosts: list[str], hostvars: HostVars) -> list[str]:
    """The address of each host."""
    return [address(host, hostvars) for host in hosts]


def endpoint(host: str, port: int | str) -> str:
    """HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def network(host: str) -> str:
    """The network that is one address."""
    return f"{host}/{ipaddress.ip_address(host).max_prefixlen}"


def problems(groups: Groups, host: str, hostvars: HostVars, shared: Iterable[str] = ()) -> list[str]:
    """What is wrong with the groups, or between the hosts that work with this one: sentences with their remedies.

    `shared` are the variables that hosts which work together must agree on.
    """
    missing = [part for part in PARTS if not members(groups, part)]
    if missing:
        return [
            f"No host of the inventory {PARTS[part]}: put one into group {part}, or into group graphing, which has all."
            for part in missing
        ]
    stores = partners(groups, host, "carbon")
    if len(stores) > 1:
        return [
            f"{host} keeps no numbers itself, and the inventory has {len(stores)} hosts that do ({', '.join(stores)}): "
            "leave one of them in group carbon, and give the others an inventory of their own."
        ]
    hosts = together(groups, host)
    if len(hosts) == 1:
        return []
    unknown = [name for name in hosts if not _is_address(address(name, hostvars))]
    if unknown:
        return [
            f"{name} has no IP address by which {' and '.join(other for other in hosts if other != name)} "
            f"could reach it: set host_address in host_vars/{name}.yml."
            for name in unknown
        ]
    return [
        *(found for name in shared if (found := _disagreement(name, hosts, hostvars))),
        *_tags_apart(groups, stores[0], hosts, hostvars),
        *_same_names([name for name in hosts if "statsd" in parts(groups, name)], stores[0], hostvars),
    ]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _disagreement(name: str, hosts: list[str], hostvars: HostVars) -> str:
    """A sentence if a variable differs between hosts that work together."""
    values = {host: hostvars[host].get(name) for host in hosts}
    if len({str(value) for value in values.values()}) == 1:
        return ""
    told = ", ".join(f"{'not set' if value is None else value} for {host}" for host, value in values.items())
    return (
        f"{name} differs between hosts that work together ({told}): set it once for all of them, in group_vars/all.yml."
    )


def _tags_apart(groups: Groups, store: str, hosts: list[str], hostvars: HostVars) -> list[str]:
    """A sentence if series have tags, which are looked up where the page is, and the page is elsewhere."""
    if "web" in parts(groups, store) or not any(hostvars[host].get("carbon_tags") for host in hosts):
        return []
    return [
        f"carbon_tags needs the page where the numbers are: put {store} into group web too, or leave carbon_tags out."
    ]


def _same_names(senders: list[str], store: str, hostvars: HostVars) -> list[str]:
    """A sentence for each pair of aggregators that would overwrite each other's series in the store."""
    names = {"statsd_prefix": _prefix, "statsd_settings.health_prefix": _health_prefix}
    return [
        f"{one} and {other} would write the same series on {store}: give each a {name} of its own in host_vars, "
        "or leave one of them in group statsd."
        for one, other in itertools.combinations(senders, 2)
        for name, of in names.items()
        if of(hostvars[one]) == of(hostvars[other])
    ]


def _prefix(known: Mapping[str, Any]) -> str:
    return str(known.get("statsd_prefix", "stats"))


def _health_prefix(known: Mapping[str, Any]) -> str:
    return str((known.get("statsd_settings") or {}).get("health_prefix", "statsd"))


class FilterModule:
    """Hand the filters to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name each filter."""
        return {
            "topology_parts": parts,
            "topology_members": members,
            "topology_partners": partners,
            "topology_clients": clients,
            "topology_together": together,
            "topology_addresses": addresses,
            "topology_endpoint": endpoint,
            "topology_network": network,
            "topology_problems": problems,
        }
