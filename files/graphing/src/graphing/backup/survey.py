"""Looks, and changes nothing: what there is to back up, and which files a repository has."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from graphing.backup.contents import series_files
from graphing.backup.databases import Database, existing
from graphing.backup.repository import is_begun
from graphing.store import StoreError
from graphing.store.carbon import CarbonConfig

_CARBON = Path("/etc/carbon")
_SMALL_FILES = ("config", "nonce")
"""Borg's files never change but for these two."""


def look(whisper: Path, databases: Iterable[Database], location: str) -> dict[str, Any]:
    """Say what there is to back up, in series and bytes, and whether a file can be copied whole."""
    sizes = [(whisper / name).stat().st_size for name in series_files(whisper)]
    found = existing(databases)
    return {
        "series": len(sizes),
        "bytes": sum(sizes) + sum(Path(database.path).stat().st_size for database in found if database.is_file),
        "databases": [database.name for database in found],
        "locks": _carbon_locks(),
        "begun": is_begun(location),
    }


def list_files(location: Path, had: Mapping[str, int]) -> dict[str, Any]:
    """Say which files a repository has with their sizes, its id (empty: none), and what a copy of it lacks.

    `had` are the files of the copy. What has the same name and size is the same.
    """
    found = {str(path.relative_to(location)): path.stat().st_size for path in _files(location)}
    found = {name: size for name, size in found.items() if not name.startswith("lock")}
    config = location / "config"
    lines = config.read_text().splitlines() if config.is_file() else []
    return {
        "id": next((line.partition("=")[2].strip() for line in lines if line.startswith("id")), ""),
        "files": found,
        "new": [name for name, size in found.items() if had.get(name) != size or name in _SMALL_FILES],
        "gone": sorted(had.keys() - found.keys()),
    }


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _carbon_locks() -> bool:
    try:
        CarbonConfig(_CARBON).check_locks()
    except StoreError:
        return False
    return True
