"""The whisper files under a directory, in a fixed order, so that a walk can be continued where it stopped."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from graphing.store import StoreError
from graphing.store.carbon import CarbonConfig, NoCarbon
from graphing.store.names import ENDING
from graphing.store.swap import SUFFIX, clean
from graphing.store.tags import Catalogue


class Store(NamedTuple):
    """A tree of whisper files, who knows the names of its series, and who writes to it."""

    root: Path
    catalogue: Catalogue
    carbon: CarbonConfig | NoCarbon


def files(
    root: Path, after: PurePosixPath | None = None, below: PurePosixPath | None = None
) -> Iterator[PurePosixPath]:
    """Paths relative to `root`, those behind `after`; links are not followed. What a cut-off run left is removed."""
    yield from _files(root, below or PurePosixPath(), after.parts if after else ())


def _files(root: Path, below: PurePosixPath, after: tuple[str, ...]) -> Iterator[PurePosixPath]:
    try:
        entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
    except FileNotFoundError:
        if not below.parts:
            raise StoreError(f"{root}: there is no such directory; LOCAL_DATA_DIR in carbon.conf names it") from None
        return
    for entry in entries:
        if after and entry.name < after[0]:
            continue
        rest = after[1:] if after and entry.name == after[0] else ()
        if entry.is_dir(follow_symlinks=False):
            yield from _files(root, below / entry.name, rest)
        elif entry.name.endswith(ENDING + SUFFIX):
            clean(root / below / entry.name.removesuffix(SUFFIX))
        elif entry.name.endswith(ENDING) and entry.is_file(follow_symlinks=False) and after != (entry.name,):
            yield below / entry.name


def remove_empty(root: Path, folder: PurePosixPath) -> int:
    """Remove a directory below `root` if it is empty, then those above it that are; how many were."""
    removed = 0
    while folder.parts:
        try:
            (root / folder).rmdir()
        except OSError:
            break
        removed += 1
        folder = folder.parent
    return removed
