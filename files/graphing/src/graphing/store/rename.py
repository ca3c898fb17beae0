"""Moves the history of a series, or of all series below a name, to a new name.

The history is at the new name before it leaves the old one, so a run that is cut off is continued by the next. carbon's
memory is written out first; what still comes for the old name afterwards is carried over.
"""

import contextlib
import difflib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from graphing.core import humanize
from graphing.store import StoreError, swap
from graphing.store.names import ENDING, check_rename, name_of, path_of
from graphing.store.rules import StorageRules
from graphing.store.tree import Store, files, remove_empty
from graphing.whisperfile.content import decode
from graphing.whisperfile.layout import Broken, decode_layout, same
from graphing.whisperfile.library import locking, whisper
from graphing.whisperfile.resize import changes

_LISTED = 20
_ROUNDS = 3
_LATE_SECONDS = 3
"""How late a flush may reach carbon."""
_HEADER = 4096


@dataclass(frozen=True)
class Move:
    """A file and where it goes, relative to the tree."""

    old: PurePosixPath
    new: PurePosixPath

    def __str__(self) -> str:
        return f"{name_of(self.old)} -> {name_of(self.new)}"


@dataclass
class RenamePlan:
    """What is moved; `merged` are the moves to names that have a series already."""

    moves: list[Move]
    merged: list[Move] = field(default_factory=list)


@dataclass
class Done:
    """What became of it."""

    moves: list[Move]
    folders: int = 0
    still_sent: list[str] = field(default_factory=list)
    """Old names for which points keep coming."""
    otherwise: int = 0
    """Series that are kept otherwise than the rules say for their new names."""


def plan(root: Path, old: str, new: str) -> RenamePlan:
    """Find what to move. Raises StoreError if there is nothing."""
    check_rename(old, new)
    moves = []
    if (root / path_of(old)).is_file():
        moves.append(Move(path_of(old), path_of(new)))
    below, to = PurePosixPath(*old.split(".")), PurePosixPath(*new.split("."))
    if (root / below).is_dir():
        moves += [Move(path, to / path.relative_to(below)) for path in files(root, below=below)]
    if not moves:
        raise StoreError(f"{root} has no series or subtree {old}{_like(root, below)}")
    return RenamePlan(moves, [move for move in moves if (root / move.new).exists() and not _is_one(root, move)])


def refusal(found: RenamePlan) -> str:
    """Why it is not done without leave to merge."""
    taken = [str(name_of(move.new)) for move in found.merged]
    exists = "exists" if len(taken) == 1 else "exist"
    return (
        f"{humanize.some(taken, 5)} {exists} already; with rename_merge=true the two histories become one, in which "
        "the points of the new name win"
    )


def apply(store: Store, found: RenamePlan, rules: StorageRules) -> Done:
    """Move the files; the plan must have been made just before, under the same lock."""
    swap.check_leases(store.root)
    done = Done(found.moves)
    old_names = [str(name_of(move.old)) for move in found.moves]
    # Also the new ones: carbon must not be about to create what is put there.
    store.carbon.settle([*old_names, *(str(name_of(move.new)) for move in found.moves)])
    for move in found.moves:
        _give(store.root, move)
    for _ in range(_ROUNDS):
        done.folders += sum(_leave(store.root, move) for move in found.moves)
        waiting = store.carbon.settle(old_names)
        done.still_sent = sorted(waiting | _back(store, found))
        if not done.still_sent:
            break
    if not done.still_sent and (seen := _watch(store, found, rules)):
        store.carbon.settle(old_names)
        done.folders += sum(_leave(store.root, move) for move in found.moves)
        done.still_sent = sorted(seen)
    done.otherwise = sum(_is_otherwise(store.root, move.new, rules) for move in found.moves)
    return done


def _back(store: Store, found: RenamePlan) -> set[str]:
    """The old names that have a file again."""
    return {str(name_of(move.old)) for move in found.moves if (store.root / move.old).exists()}


def _watch(store: Store, found: RenamePlan, rules: StorageRules) -> set[str]:
    """Return the old names to which somebody still sends: who does, sends once in each step of the finest archive."""
    old_names = [str(name_of(move.old)) for move in found.moves]
    step = max(rules.layout(name).archives[0].step for name in old_names)
    return store.carbon.watch(lambda: store.carbon.waiting(old_names) | _back(store, found), step + _LATE_SECONDS)


def report(found: RenamePlan) -> str:
    """The plan in words."""
    lines = [f"{humanize.number(len(found.moves))} to move:"]
    lines += [
        f"  {move}" + ("   (merged into the one that is there)" if move in found.merged else "")
        for move in found.moves[:_LISTED]
    ]
    if len(found.moves) > _LISTED:
        lines.append(f"  and {len(found.moves) - _LISTED:,} more")
    return "\n".join(lines)


def result(done: Done) -> str:
    """What was done in words."""
    lines = [f"Moved {humanize.number(len(done.moves))}, removed {humanize.number(done.folders, 'empty directory')}."]
    if done.still_sent:
        lines.append(
            f"Points still come for {humanize.some(done.still_sent, 5)}: what came until now is at the new name too. "
            "Let the sender use the new name, have the aggregator forget the old bucket (its console knows "
            "delcounters, delgauges, deltimers), and run this again with rename_merge=true."
        )
    if done.otherwise:
        lines.append(
            f"{humanize.number(done.otherwise)} have other storage rules under the new name: "
            "playbooks/retention.yml changes them."
        )
    return "\n".join(lines)


def _give(root: Path, move: Move) -> None:
    """Have the history at the new name too, if nothing is there yet."""
    new = root / move.new
    new.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        os.link(root / move.old, new)


def _leave(root: Path, move: Move) -> int:
    """Take away the old name, its history being at the new one; how many directories became empty by it."""
    old, new = root / move.old, root / move.new
    try:
        if _is_one(root, move):
            # Who has it open writes to the file of the new name.
            old.unlink()
        else:
            merged = swap.read(old)
            swap.merge(new, decode(merged))
            taken = swap.remove_file(old, lambda _: False)
            if taken is not None and taken != merged:
                with locking():
                    whisper.update_many(str(new), changes(decode(merged), decode(taken), int(time.time())))
    except FileNotFoundError:
        return 0
    except Broken as error:
        raise StoreError(f"{move} cannot be merged: {error}; move the broken file away, then run this again") from error
    return remove_empty(root, move.old.parent)


def _is_one(root: Path, move: Move) -> bool:
    """Whether both names are the same file: a run was cut off between the two."""
    try:
        return os.path.samefile(root / move.old, root / move.new)
    except FileNotFoundError:
        return False


def _is_otherwise(root: Path, path: PurePosixPath, rules: StorageRules) -> bool:
    try:
        with (root / path).open("rb") as file:
            return not same(decode_layout(file.read(_HEADER)), rules.layout(str(name_of(path))))
    except (Broken, FileNotFoundError):
        return False


def _like(root: Path, below: PurePosixPath) -> str:
    """What may have been meant."""
    folder = root / below.parent
    names = {entry.name.removesuffix(ENDING) for entry in folder.iterdir()} if folder.is_dir() else set()
    close = difflib.get_close_matches(below.name, sorted(names), n=1, cutoff=0.5)
    return f"; did you mean {'.'.join([*below.parent.parts, close[0]])}?" if close else ""
