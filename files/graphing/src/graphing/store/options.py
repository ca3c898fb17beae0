"""The command lines of retention, prune and rename; light, because every daemon's start reads it."""

import argparse
import importlib
import sys
from pathlib import Path

from graphing.store import StoreError

COMMANDS = ("retention", "prune", "rename")


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the three commands."""
    retention = _parser(
        commands, "retention", "compare stored series with the storage rules; with --apply, change them"
    )
    retention.add_argument("--apply", action="store_true", help="change the files that are kept otherwise")
    retention.add_argument("--backup", type=Path, metavar="DIR", help="where --apply keeps the files as they were")
    retention.add_argument("--remove-backup", type=Path, metavar="DIR", help="remove a directory of such files")
    retention.add_argument("--run-name", default="", metavar="NAME", help="the directory of this run in it (its time)")
    retention.add_argument("--limit", type=_positive, default=1 << 62, metavar="N", help="how many files to change")
    retention.add_argument("--after", default="", metavar="PATH", help="go on behind this one, as --json told it")

    prune = _parser(commands, "prune", "list series without a new point; with --apply, remove them")
    prune.add_argument("--days", type=_days, required=True, metavar="N", help="how long they have had none")
    prune.add_argument("--keep", action="append", default=[], metavar="REGEX", help="leave those alone (repeatable)")
    prune.add_argument("--apply", action="store_true", help="remove them")

    rename = _parser(commands, "rename", "move the history of a series, or of all below a name, to a new name")
    rename.add_argument("old", metavar="OLD", help="the name that it has")
    rename.add_argument("new", metavar="NEW", help="the name that it gets")
    rename.add_argument("--merge", action="store_true", help="add to the series that has the new name already")
    rename.add_argument("--check", action="store_true", help="say what would be done")


def _parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    parser.add_argument(
        "--conf", type=Path, default=Path("/etc/carbon"), metavar="DIR", help="carbon's configuration (/etc/carbon)"
    )
    parser.add_argument(
        "--copy", type=Path, metavar="DIR", help="work on this tree of whisper files, to which no carbon writes"
    )
    parser.add_argument(
        "--web",
        type=Path,
        default=Path("/run/graphite-web.sock"),
        metavar="SOCKET",
        help="graphite-web, which knows the series that have tags (/run/graphite-web.sock)",
    )
    parser.add_argument("--json", action="store_true", help="print the result for programs")
    parser.set_defaults(store_command=name, run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    """Run what the command line says; exit code 2, and one sentence on stderr, for what cannot be done."""
    try:
        # Only now: no daemon needs the modules, or whisper, in its memory.
        return int(importlib.import_module("graphing.store.command").run(options))
    except (StoreError, ImportError) as error:
        print(error, file=sys.stderr)
        return 2


def _positive(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def _days(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days above 0")
    return number
