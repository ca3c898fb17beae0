"""Takes a backup."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from graphing.backup.archive import Stream
from graphing.backup.contents import Sources, fill
from graphing.backup.databases import existing
from graphing.backup.repository import Repository
from graphing.backup.waiting import Cache, await_writes

_FORMAT = 1
"""Of the manifest."""


@dataclass(frozen=True)
class Order:
    """What a backup is to be."""

    host: str
    """Whose backup it is."""
    sources: Sources
    caches: tuple[Cache, ...]
    wait: float
    """Seconds that each cache has to write what it had got."""
    keep: Mapping[str, object]
    """How many are kept of each period: {daily: 7, within: 24H}; 0 for none."""
    reserve: str
    """What the repository leaves free on its file system."""


def take_backup(repository: Repository, order: Order) -> dict[str, Any]:
    """Take a backup and drop those that need not be kept; return what it came to. Raises BackupError."""
    began = int(time.time())
    repository.prepare(order.reserve)
    away = await_writes(order.caches, order.sources.whisper, began, order.wait)
    name = f"{order.host}@{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime(began))}"
    about: dict[str, Any] = {
        "format": _FORMAT,
        "host": order.host,
        "began": began,
        "archive": name,
        "away": away,
        "databases": [database.name for database in existing(order.sources.databases)],
    }
    figures = repository.import_archive(name, lambda out: _write(out, order.sources, about))
    own = f"{order.host}@*"
    if options := keep_options(order.keep):
        repository.run("prune", "--glob-archives", own, *options, repository.location)
    repository.run("compact", repository.location)
    return about | {
        "added": figures["archive"]["stats"]["deduplicated_size"],
        "seconds": int(time.time()) - began,
        "archives": repository.archives(own),
    }


def keep_options(keep: Mapping[str, object]) -> list[str]:
    """Borg's options for what is kept."""
    return [f"--keep-{period}={count}" for period, count in keep.items() if str(count) != "0"]


def _write(out: IO[bytes], sources: Sources, about: dict[str, Any]) -> None:
    """Write the archive; what the manifest says besides its files is added to `about`."""
    stream = Stream(out, about["began"])
    filled = fill(stream, sources)
    about["damaged"], about["born"] = filled.damaged, filled.born
    about["series"] = sum(name.startswith("whisper/") for name in stream.files)
    about["bytes"] = sum(file["size"] for file in stream.files.values())
    stream.end(about)
