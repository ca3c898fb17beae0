"""Runs retention, prune and rename, as `options` has read their command lines.

As root it becomes the owner of the tree, so that nothing in a directory of another user is done with root's rights.
"""

import argparse
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path, PurePosixPath
from typing import Any

from graphing.store import StoreError, prune, rename, retention, swap
from graphing.store.carbon import CarbonConfig, NoCarbon
from graphing.store.rules import StorageRules
from graphing.store.tags import Catalogue, TagDatabase
from graphing.store.tree import Store

_DAY = 86400


def run(options: argparse.Namespace) -> int:
    """Run the command that `options` of `graphing.store.options` name; the exit code. Raises StoreError."""
    try:
        answer = {"retention": _retention, "prune": _prune, "rename": _rename}[options.store_command](options)
    except OSError as error:
        raise StoreError(f"{error.filename or options.store_command}: {error.strerror}") from error
    print(json.dumps(answer) if options.json else answer["text"])
    return 0


def _retention(options: argparse.Namespace) -> dict[str, Any]:
    if options.remove_backup:
        return _remove_backup(options.remove_backup)
    if options.apply and not options.backup:
        raise StoreError("--apply needs --backup DIR, where the files are kept as they were")
    store = _store(options, options.backup)
    rules = StorageRules(options.conf)
    with swap.alone(store.root):
        if not options.apply:
            found = retention.survey(store, rules)
            return {
                "text": retention.report(found, store.root),
                "wrong": len(found.mismatches),
                "batch": found.batch,
                "changed": 0,
                "refusal": "" if found.fits else retention.refusal(found, store.root),
            }
        store.carbon.check_locks()
        after = PurePosixPath(options.after) if options.after else None
        kept = options.backup / (options.run_name or time.strftime("%Y-%m-%dT%H%M%S"))
        changed, last = retention.apply(store, rules, kept, after, options.limit)
        return {"text": f"{changed:,} changed.", "changed": changed, "after": str(last or "")}


def _prune(options: argparse.Namespace) -> dict[str, Any]:
    try:
        keep = [re.compile(pattern) for pattern in options.keep]
    except re.error as error:
        raise StoreError(f"prune_keep: {error.pattern!r} is not a regular expression: {error}") from error
    store = _store(options)
    before = int(time.time() - options.days * _DAY)
    with swap.alone(store.root):
        found = prune.survey(store, before, keep)
        text = prune.report(found, store.root, options.days, before)
        if not options.apply:
            return {"text": text, "stale": len(found.stale), "changed": 0}
        store.carbon.check_locks()
        done = prune.apply(store, before, found.stale)
        return {"text": f"{text}\n{prune.result(done)}", "stale": len(found.stale), "changed": len(done.removed)}


def _rename(options: argparse.Namespace) -> dict[str, Any]:
    store = _store(options)
    rules = StorageRules(options.conf)
    with swap.alone(store.root):
        found = rename.plan(store.root, options.old, options.new)
        if found.merged and not options.merge:
            raise StoreError(rename.refusal(found))
        text = rename.report(found)
        if options.check:
            return {"text": text, "changed": 0}
        store.carbon.check_locks()
        done = rename.apply(store, found, rules)
        return {
            "text": f"{text}\n{rename.result(done)}",
            "changed": len(done.moves),
            "still_sent": len(done.still_sent),
        }


def _store(options: argparse.Namespace, backup: Path | None = None) -> Store:
    """What the options name, as its owner."""
    carbon = NoCarbon(options.copy) if options.copy else CarbonConfig(options.conf, _say)
    root = carbon.root
    if not root.is_dir():
        raise StoreError(f"{root}: there is no such directory; LOCAL_DATA_DIR in carbon.conf names it")
    owner = root.stat()
    if backup:
        if backup.resolve().is_relative_to(root.resolve()):
            raise StoreError(f"{backup}: the backup must lie outside {root}, or its files would be series")
        if options.apply:
            retention.prepare_backup(backup, owner)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
    os.umask(0o027)
    database = TagDatabase(options.web) if options.web != Path() else None
    return Store(root, Catalogue(database), carbon)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _remove_backup(folder: Path) -> dict[str, Any]:
    if not folder.exists():
        return {"text": f"{folder}: there is no backup.", "changed": 0}
    if not retention.is_backup(folder):
        raise StoreError(f"{folder} holds no backup of retention, so it is not removed")
    shutil.rmtree(folder)
    return {"text": f"Removed the backup in {folder}.", "changed": 1}
