"""Folders of data as a backup takes databases: a command that prints one, and a command that reads it.

Pure functions of what roles own (`data`, docs/roles.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any

# A folder that is not there is one without files. What is restored takes the place of all that is there.
# A folder that was never made is an empty archive; one that can't be read is a failure with tar's words.
DUMP = """
set -eu
if [ -e "$1" ]; then exec tar --create --directory="$1" .; fi
exec tar --create --files-from=/dev/null
"""
# All of the archive, or what was there before: it is unpacked beside the folder and then takes its place.
LOAD = """
set -eu
rm -rf "$1.restored" "$1.replaced"
mkdir -p "$1.restored"
tar --extract --preserve-permissions --directory="$1.restored"
if [ -e "$1" ]; then mv "$1" "$1.replaced"; fi
mv "$1.restored" "$1"
rm -rf "$1.replaced"
"""


def as_databases(folders: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A database of `graphing backup` for each folder ({path}): NAME.tar."""
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
