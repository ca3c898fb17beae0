"""Whether a network is one, as 192.0.2.0/24 or 2001:db8::/32 is."""

from __future__ import annotations

import ipaddress


def problem(network: object) -> str:
    """What is wrong with a network, and what to write; empty when it is right."""
    try:
        # By their text: a number would be an address.
        ipaddress.ip_network(str(network))
    except ValueError:
        return f"is not a network: {_meant(str(network))}"
    if "%" in str(network):
        return "is a network of one interface: write it without %"
    return ""


def _meant(text: str) -> str:
    """A guess at what should stand there."""
    try:
        return f"write {ipaddress.ip_network(text, strict=False)}"
    except ValueError:
        return "write it like 192.0.2.0/24 or 2001:db8::/32, a single address like 192.0.2.7/32"
