"""Which roles of the platform's table (playbooks/vars/platform.yml) a host has, and what these own together.

Pure functions of the table, of the host's parts and of what roles own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Entry = Mapping[str, Any]


def roles_on(table: Iterable[Entry], parts: Iterable[str]) -> list[Entry]:
    """The entries of the table that a host with these parts has, in their order."""
    own = set(parts)
    return [entry for entry in table if "parts" not in entry or own & set(entry["parts"])]


def roles_run(table: Iterable[Entry]) -> list[Entry]:
    """The entries of the table that site.yml runs."""
    return [entry for entry in table if entry.get("run", True)]


def topmost(paths: Iterable[str]) -> list[str]:
    """Those of the paths that are below none of the others, in their order."""
    found = list(dict.fromkeys(paths))
    return [path for path in found if not any(path.startswith(f"{other}/") for other in found)]


class FilterModule:
    """Hand the filters to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name each filter."""
        return {
            "platform_roles_on": roles_on,
            "platform_roles_run": roles_run,
            "platform_topmost": topmost,
        }
