"""Which series are kept otherwise than the storage rules say, and makes them right.

A rule of carbon decides once, when a series is created. `survey` compares every file with the rules of today; `apply`
changes the files, one by one, while carbon writes to them (see `swap`).
"""

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from graphing.core import humanize
from graphing.store import StoreError, swap
from graphing.store.rules import StorageRules
from graphing.store.tree import Store, files
from graphing.whisperfile.content import decode, encode
from graphing.whisperfile.layout import Broken, Layout, decode_layout, same
from graphing.whisperfile.library import locking, whisper
from graphing.whisperfile.resize import is_shorter, resized

_HEADER = 4096
_EXAMPLES = 3
_ROWS = 20
_SAMPLES = 8
_SECONDS_PER_BATCH = 10.0
_MOST_BATCHES = 100
_RESERVE = 512 << 20
"""Bytes of the disk that stay free, so that carbon can go on."""

_MARK = ".graphing-retention"
"""In a directory of backups: it is one, and may be removed."""


@dataclass(frozen=True)
class Mismatch:
    """A file that is kept otherwise than the rules say."""

    path: PurePosixPath
    name: str
    is_now: Layout
    should: Layout
    allocated: int

    @property
    def moves_numbers(self) -> bool:
        """Whether the file must be written anew; else its header alone is changed."""
        return self.is_now.archives != self.should.archives

    def differences(self) -> Iterator[tuple[str, str]]:
        """(kind, from and to) of each difference."""
        if self.moves_numbers:
            yield "retention", f"{self.is_now} -> {self.should}"
        if self.is_now.method != self.should.method:
            yield "aggregation", f"{self.is_now.method} -> {self.should.method}"
        if not same(self.is_now._replace(method=self.should.method, archives=self.should.archives), self.should):
            yield "xFilesFactor", f"{self.is_now.x_files_factor:.3g} -> {self.should.x_files_factor:.3g}"


@dataclass
class RetentionSurvey:
    """All files of a tree, compared with the rules."""

    right: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    nameless: int = 0
    seconds: float = 0.0
    """How long changing them takes, as measured on a few."""
    space: int = 0
    """How much more of the disk is taken afterwards, with the backup."""
    free: int = 0
    """What may be taken of it."""

    @property
    def fits(self) -> bool:
        """Whether the disk holds it."""
        return self.space <= self.free

    @property
    def batch(self) -> int:
        """How many files to change at a time, so that progress is told every few seconds."""
        batches = min(_MOST_BATCHES, max(1, round(self.seconds / _SECONDS_PER_BATCH)))
        return max(1, -(-len(self.mismatches) // batches))


def survey(store: Store, rules: StorageRules) -> RetentionSurvey:
    """Compare every file with the rules, and measure on a few how long changing them takes. Changes nothing."""
    found = RetentionSurvey()
    for path in files(store.root):
        try:
            mismatch = _compare(store, path, rules)
        except LookupError:
            found.nameless += 1
        except Broken as error:
            found.broken.append(f"{path}: {error}")
        except FileNotFoundError:
            continue
        else:
            if mismatch:
                found.mismatches.append(mismatch)
            else:
                found.right += 1
    _measure(store.root, found)
    return found


def apply(
    store: Store, rules: StorageRules, backup: Path, after: PurePosixPath | None, limit: int
) -> tuple[int, PurePosixPath | None]:
    """Change up to `limit` files behind `after`, which are kept in `backup` as they were; how many, and the last one.

    The last one is None when the end of the tree was reached. Raises StoreError when the disk gets full.
    """
    changed = 0
    swap.check_leases(store.root)
    for path in files(store.root, after):
        try:
            mismatch = _compare(store, path, rules)
        except (LookupError, Broken, FileNotFoundError):
            continue
        if not mismatch:
            continue
        if changed == limit:
            return changed, after
        _change(store.root, mismatch, backup)
        changed, after = changed + 1, path
    return changed, None


def prepare_backup(folder: Path, owner: os.stat_result) -> None:
    """Create a directory of backups in which `owner` may write, marked as such."""
    if not is_backup(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        if any(folder.iterdir()):
            raise StoreError(f"{folder} holds other files: name a directory of its own for the backup")
        (folder / _MARK).touch()
        if os.geteuid() == 0:
            os.chown(folder, owner.st_uid, owner.st_gid)


def is_backup(folder: Path) -> bool:
    """Whether the directory is one of backups, so that it may be removed with all that it holds."""
    return (folder / _MARK).is_file()


def report(found: RetentionSurvey, root: Path) -> str:
    """The survey in words."""
    total = found.right + len(found.mismatches) + len(found.broken) + found.nameless
    others = len(found.mismatches)
    lines = [
        f"{humanize.number(total)} in {root}: {found.right:,} follow the rules, {others:,} differ"
        + (f", {len(found.broken):,} unreadable" if found.broken else "")
        + (f", {found.nameless:,} with tags whose names nobody knows" if found.nameless else "")
        + "."
    ]
    groups: dict[tuple[str, str], list[str]] = {}
    for mismatch in found.mismatches:
        for difference in mismatch.differences():
            groups.setdefault(difference, []).append(mismatch.name)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    for (kind, change), names in ordered[:_ROWS]:
        lines.append(f"  {len(names):9,}  {kind}  {change}   ({humanize.some(names, _EXAMPLES)})")
    if len(ordered) > _ROWS:
        lines.append(f"  and {len(ordered) - _ROWS:,} more kinds of difference")
    lines += [f"  unreadable: {line}" for line in found.broken[:_EXAMPLES]]
    less = sum(is_shorter(mismatch.is_now, mismatch.should) for mismatch in found.mismatches)
    if less:
        lines.append(
            f"{humanize.number(less)} will hold less than now: what is beyond the new retention stays in the backup."
        )
    if found.mismatches:
        lines.append(
            f"Changing them takes about {humanize.duration(found.seconds)} and, with the old files kept as a backup, "
            f"{humanize.size(found.space)} more of the disk; {humanize.size(found.free)} may be taken."
        )
    return "\n".join(lines)


def refusal(found: RetentionSurvey, root: Path) -> str:
    """Why it would not fit."""
    files = humanize.number(len(found.mismatches))
    return (
        f"{root}: {humanize.size(found.space)} are needed to change {files} with a backup, "
        f"and {humanize.size(found.free)} may be taken of the disk; make room, or choose shorter retentions in "
        "carbon_schemas"
    )


def _compare(store: Store, path: PurePosixPath, rules: StorageRules) -> Mismatch | None:
    """The file if it is wrong. Raises Broken, FileNotFoundError, and LookupError without a name."""
    with (store.root / path).open("rb", buffering=0) as file:
        layout = decode_layout(file.read(_HEADER))
        status = os.fstat(file.fileno())
    if status.st_size != layout.bytes:
        raise Broken(f"it has {status.st_size} bytes and its header promises {layout.bytes}")
    name = store.catalogue.name(path)
    if name is None:
        raise LookupError(str(path))
    should = rules.layout(name)
    return None if same(layout, should) else Mismatch(path, name, layout, should, status.st_blocks * 512)


def _change(root: Path, mismatch: Mismatch, backup: Path) -> None:
    path = root / mismatch.path
    if not mismatch.moves_numbers:
        with locking():
            whisper.setAggregationMethod(str(path), mismatch.should.method, mismatch.should.x_files_factor)
        return
    if may_take(root) < mismatch.should.bytes:
        raise StoreError(
            f"{root}: the disk is full but for the reserve, so this ended before {mismatch.name}; what was changed is "
            "right. Make room and run this again: it goes on from there"
        )
    now = int(time.time())
    swap.replace(path, lambda content: resized(content, mismatch.should, now), backup / mismatch.path)


def may_take(root: Path) -> int:
    """Bytes of the disk that may be taken: what is free, less a reserve for carbon."""
    disk = os.statvfs(root)
    return max(0, disk.f_bavail * disk.f_frsize - _RESERVE)


def _measure(root: Path, found: RetentionSurvey) -> None:
    found.free = may_take(root)
    moved = [mismatch for mismatch in found.mismatches if mismatch.moves_numbers]
    samples = moved[:: max(1, len(moved) // _SAMPLES)][:_SAMPLES]
    if not samples:
        return
    began = time.monotonic()
    allocated = sum(_try_out(root, mismatch) for mismatch in samples)
    found.seconds = (time.monotonic() - began) / len(samples) * len(moved)
    found.space = allocated * len(moved) // len(samples)


def _try_out(root: Path, mismatch: Mismatch) -> int:
    """Make the new file where nobody sees it, and forget it; the space it took."""
    raw = encode(resized(decode((root / mismatch.path).read_bytes()), mismatch.should, int(time.time())))
    with tempfile.TemporaryFile(dir=root, buffering=0) as scratch:
        swap.write_pages(scratch, raw, mismatch.allocated < mismatch.is_now.bytes)
        os.fsync(scratch.fileno())
        return os.fstat(scratch.fileno()).st_blocks * 512
