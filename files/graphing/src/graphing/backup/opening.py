"""Finds a backup, and unpacks it: nothing stays of one that is no good."""

import base64
import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from graphing.backup import BackupError
from graphing.backup.archive import MANIFEST, faults
from graphing.backup.repository import Repository

_ROOM = 1.05
"""So many times the bytes of its files an archive takes on a disk."""
_NAMED = 8
_MEMORY = "/run"
"""Where secrets are unpacked for a moment: it is no disk."""


def choose_archive(repository: Repository, host: str, archive: str) -> str:
    """Return the archive of that name, or the host's newest if none is named. Raises BackupError."""
    found = repository.archives("*")
    own = [name for name in found if name.rpartition("@")[0] == host]
    if archive in own:
        return archive
    if archive and own:
        raise BackupError(f"{repository.called} has no {archive}; it has {', '.join(own[-_NAMED:])}.")
    if own:
        return own[-1]
    hosts = sorted({name.rpartition("@")[0] for name in found})
    if not hosts:
        raise BackupError(f"{repository.called}: there are no backups there.")
    raise BackupError(
        f"The backups in {repository.called} are of {', '.join(hosts)}, not of {host}. "
        f"To let this host take its place, say -e restore_host={hosts[0]}"
    )


def find_backup(repository: Repository, host: str, archive: str) -> dict[str, Any]:
    """Say which archive is asked for, what its manifest says, and the controller's files in it. Raises BackupError."""
    name = choose_archive(repository, host, archive)
    with tempfile.TemporaryDirectory(dir=_MEMORY) as scratch:
        folder = Path(scratch)
        repository.run("extract", f"{repository.location}::{name}", MANIFEST, "controller", cwd=folder)
        if not (folder / MANIFEST).is_file():
            raise BackupError(f"{name} in {repository.called} is not whole: its manifest is missing. Take another one.")
        manifest = json.loads((folder / MANIFEST).read_bytes())
        files = {file: entry for file, entry in manifest.pop("files").items() if file.startswith("controller/")}
        if wrong := list(faults(folder, files)):
            raise BackupError(f"{name} is damaged: {wrong[0]}. Take another one.")
        controller = {
            file.removeprefix("controller/"): base64.b64encode((folder / file).read_bytes()).decode() for file in files
        }
    return {"archive": name, "manifest": manifest, "controller": controller}


def unpack_archive(repository: Repository, archive: str, into: Path, size: int) -> dict[str, Any]:
    """Extract an archive of `size` bytes into a new folder and compare every file with its manifest.

    Raises BackupError, and leaves nothing there, if it is no good.
    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True, mode=0o700)
    try:
        free = shutil.disk_usage(into).free
        if free < size * _ROOM:
            raise BackupError(f"{into} has {free >> 20} MiB free; the backup takes {size >> 20} MiB. Make room there.")
        repository.run("extract", f"{repository.location}::{archive}", cwd=into)
        files = json.loads((into / MANIFEST).read_bytes())["files"]
        if wrong := list(faults(into, files)):
            named = "; ".join(wrong[:3])
            raise BackupError(f"{archive} is damaged: {named} ({len(wrong)} files in all). Take another one.")
    except BaseException:
        shutil.rmtree(into)
        with contextlib.suppress(OSError):  # up to the first folder that holds something else
            os.removedirs(into.parent)
        raise
    return {"files": len(files), "folders": sorted(path.name for path in into.iterdir() if path.is_dir())}
