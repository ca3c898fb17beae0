"""Folders of data as a backup takes databases: a command that prints one, and a command that reads it.

Pure functions of what roles own (`data`, docs/roles.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any

# A folder that is not there is one without files. What is restored takes the place of all that is there.
DUMP = 'if cd "$1"; then exec tar --create .; else exec tar --create --files-from=/dev/null; fi 2>/dev/null'
LOAD = 'mkdir -p "$1" && find "$1" -mindepth 1 -delete && exec tar --extract --preserve-permissions --directory="$1"'


def as_databases(folders: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A database of files/archive.py for each folder ({path}): NAME.tar."""
    return [
        {
            "name": f"{PurePath(folder['path']).name}.tar",
            "dump": ["sh", "-c", DUMP, "-", folder["path"]],
            "load": ["sh", "-c", LOAD, "-", folder["path"]],
        }
        for folder in folders
    ]


class FilterModule:
    """Hand the filters to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name each filter."""
        return {"folders_as_databases": as_databases}
