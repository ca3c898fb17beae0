"""Series that have had no point for a while: lists them, and removes them on request.

Their age is that of the newest number in the file, not of the file: a copy, a restore or a resize makes a file young.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from graphing.core import humanize
from graphing.store import swap
from graphing.store.tree import Store, files, remove_empty
from graphing.whisperfile.content import decode, finest_end, has_since, newest
from graphing.whisperfile.layout import Broken, decode_layout

_LISTED = 50
_HEADER = 4096


@dataclass(frozen=True)
class Stale:
    """A series without a new point."""

    path: PurePosixPath
    name: str
    newest: int
    allocated: int


@dataclass
class AgeSurvey:
    """What a tree holds, as to age."""

    fresh: int = 0
    stale: list[Stale] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Stale ones that a pattern keeps."""
    broken: list[str] = field(default_factory=list)
    nameless: int = 0


@dataclass
class Removal:
    """What became of the stale ones."""

    removed: list[Stale] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Those that got a point meanwhile."""
    folders: int = 0


def survey(store: Store, before: int, keep: Iterable[re.Pattern[str]]) -> AgeSurvey:
    """Find the series whose newest point came before a time (seconds since 1970), the oldest first."""
    patterns = list(keep)
    found = AgeSurvey()
    for path in files(store.root):
        try:
            stale = _look(store, path, before)
        except Broken as error:
            found.broken.append(f"{path}: {error}")
        except LookupError:
            found.nameless += 1
        except FileNotFoundError:
            continue
        else:
            if stale is None:
                found.fresh += 1
            elif any(pattern.search(stale.name) for pattern in patterns):
                found.kept.append(stale.name)
            else:
                found.stale.append(stale)
    found.stale.sort(key=lambda stale: (stale.newest, stale.name))
    return found


def apply(store: Store, before: int, stale: Iterable[Stale]) -> Removal:
    """Remove series; one that has had a point since it was listed is kept, be it in carbon's memory alone."""
    swap.check_leases(store.root)
    listed = list(stale)
    waiting = store.carbon.settle([series.name for series in listed])
    done = Removal()
    for series in listed:
        if series.name not in waiting and _remove(store, series, before):
            done.removed.append(series)
            if ";" in series.name and store.catalogue.database:
                store.catalogue.database.forget(series.name)
            done.folders += remove_empty(store.root, series.path.parent)
        else:
            done.kept.append(series.name)
    return done


def report(found: AgeSurvey, root: Path, days: float, before: int) -> str:
    """The survey in words."""
    total = found.fresh + len(found.stale) + len(found.kept) + len(found.broken) + found.nameless
    size = humanize.size(sum(stale.allocated for stale in found.stale))
    lines = [
        f"{len(found.stale):,} of {humanize.number(total)} in {root} have had no point for {days:g} days, since "
        f"{humanize.day(before)}; they take {size}."
    ]
    lines += [
        f"  {humanize.day(stale.newest)}  {humanize.size(stale.allocated):>8}  {stale.name}"
        for stale in found.stale[:_LISTED]
    ]
    if len(found.stale) > _LISTED:
        lines.append(f"  and {len(found.stale) - _LISTED:,} more")
    if found.kept:
        lines.append(f"As old, but prune_keep names them: {humanize.some(found.kept, 5)}.")
    if found.nameless:
        lines.append(
            f"{humanize.number(found.nameless)} with tags are left alone: graphite-web does not know their names."
        )
    lines += [f"Left alone, because it cannot be read: {line}" for line in found.broken[:5]]
    return "\n".join(lines)


def result(done: Removal) -> str:
    """The removal in words."""
    freed = humanize.size(sum(series.allocated for series in done.removed))
    lines = [
        f"Removed {humanize.number(len(done.removed))} and {humanize.number(done.folders, 'empty directory')}: "
        f"{freed} are free again."
    ]
    if done.kept:
        lines.append(f"Kept, because a point came in meanwhile: {humanize.some(done.kept, 5)}.")
    return "\n".join(lines)


def _look(store: Store, path: PurePosixPath, before: int) -> Stale | None:
    """The series if it is stale. Raises Broken, FileNotFoundError, and LookupError without a name."""
    with (store.root / path).open("rb") as file:
        status = os.fstat(file.fileno())
        raw = file.read(_HEADER)
        layout = decode_layout(raw)
        # Most series are fresh, and a part of the file tells.
        raw += file.read(finest_end(layout) - len(raw)) if finest_end(layout) > len(raw) else b""
        if len(raw) >= finest_end(layout) and has_since(raw, layout, before):
            return None
        raw += file.read()
    last = _newest(raw, status.st_mtime)
    if last >= before:
        return None
    name = store.catalogue.name(path)
    if name is None:
        raise LookupError(str(path))
    return Stale(path, name, last, status.st_blocks * 512)


def _newest(raw: bytes, created: float) -> int:
    """When the newest point came; a file without any is as old as itself."""
    last = newest(decode(raw))
    return int(created) if last is None else last


def _remove(store: Store, series: Stale, before: int) -> bool:
    path = store.root / series.path
    try:
        created = path.stat().st_mtime
        taken = swap.remove_file(
            path, lambda raw: _newest(raw, created) >= before or bool(store.carbon.waiting([series.name]))
        )
    except (FileNotFoundError, Broken):
        return False
    return taken is not None
