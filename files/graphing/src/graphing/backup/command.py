"""Does the works of `graphing backup`: JSON on stdin says what is to be done, JSON on stdout what it came to."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from graphing.backup.contents import Sources
from graphing.backup.databases import Database
from graphing.backup.opening import find_backup, unpack_archive
from graphing.backup.placing import place_files
from graphing.backup.repository import Repository
from graphing.backup.survey import list_files, look
from graphing.backup.taking import Order, take_backup
from graphing.backup.waiting import Cache

Given = Mapping[str, Any]


def run(work: str, given: TextIO, out: TextIO) -> int:
    """Do a work of `graphing.backup.options`; return the exit code. Raises BackupError."""
    out.write(json.dumps(_WORKS[work](json.load(given))) + "\n")
    return 0


def _look(given: Given) -> dict[str, Any]:
    """Takes {whisper, databases, repository}."""
    return look(Path(given["whisper"]), _databases(given), given["repository"])


def _take_backup(given: Given) -> dict[str, Any]:
    """Takes {repository, passphrase, ssh, host}, where things are, and how long to wait and what to keep.

    That is: `whisper`, `databases` ({name, path} or {name, dump}), `configuration` (paths), `controller`
    ({name: base64}), `caches` ({name, port, series}), `wait` (seconds), `keep` ({daily: 7, ...}), `reserve`.
    """
    sources = Sources(
        Path(given["whisper"]),
        _databases(given),
        tuple(map(Path, given["configuration"])),
        given["controller"],
    )
    caches = tuple(Cache(cache["name"], int(cache["port"]), cache["series"]) for cache in given["caches"])
    order = Order(given["host"], sources, caches, given["wait"], given["keep"], given["reserve"])
    return take_backup(_repository(given), order)


def _find(given: Given) -> dict[str, Any]:
    """Takes {repository, passphrase, ssh, called, host, archive}; an empty archive is the newest."""
    return find_backup(_repository(given), given["host"], given["archive"])


def _unpack(given: Given) -> dict[str, Any]:
    """Takes {repository, passphrase, ssh, called, archive, into, bytes}."""
    return unpack_archive(_repository(given), given["archive"], Path(given["into"]), given["bytes"])


def _place(given: Given) -> dict[str, Any]:
    """Takes {from, whisper, owner, databases, aside}."""
    place_files(Path(given["from"]), Path(given["whisper"]), given["owner"], _databases(given), given["aside"])
    return {}


def _files(given: Given) -> dict[str, Any]:
    """Takes {repository, had}: `had` are the files of a copy with their sizes."""
    return list_files(Path(given["repository"]), given.get("had", {}))


_WORKS: Mapping[str, Callable[[Given], dict[str, Any]]] = {
    "look": _look,
    "take": _take_backup,
    "find": _find,
    "unpack": _unpack,
    "place": _place,
    "files": _files,
}


def _repository(given: Given) -> Repository:
    location = given["repository"]
    return Repository(location, given["passphrase"], given["ssh"], given.get("called", location))


def _databases(given: Given) -> tuple[Database, ...]:
    return tuple(map(Database.of, given["databases"]))
