"""Ports that two parts of the platform want, told before the second one fails to listen.

Pure: [{port, proto, process, role}] go in, as roles hand them over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def clashes(ports: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each port that programs of different names want."""
    wanted: dict[tuple[int, str], dict[str, str]] = {}
    for entry in ports:
        place = wanted.setdefault((int(entry["port"]), entry["proto"]), {})
        place.setdefault(entry["process"][-1], entry.get("variable", f"role {entry['role']}"))
    return [
        f"Port {port}/{proto} is wanted by {' and by '.join(who.values())}: give one of them another."
        for (port, proto), who in sorted(wanted.items())
        if port and len(who) > 1
    ]


class FilterModule:
    """Hand the filters to Ansible."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Name each filter."""
        return {"port_clashes": clashes}
