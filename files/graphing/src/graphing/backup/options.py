"""The command line of `graphing backup`; light, because every daemon's start reads it."""

import argparse
import importlib
import sys

from graphing.backup import BackupError

WORKS = {
    "look": "say what there is to back up",
    "take": "take a backup, and drop those that need not be kept",
    "find": "find an archive: its manifest, and the controller's files in it",
    "unpack": "unpack an archive, and compare every file with its manifest",
    "place": "put what was unpacked in its place, while nothing runs there",
    "files": "list the files of a repository, by which a copy of it is kept",
}
"""What can be done, by the names of the sub-commands."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    backup = commands.add_parser(
        "backup",
        help="take a backup of this host, or bring one back; role backup calls it",
        description="Takes a backup of this host, or brings one back. Each work reads JSON on stdin, where no other "
        "user sees the passphrase, and answers with JSON. Exit status 1, and a sentence on stderr, for what can't be "
        "done.",
    )
    works = backup.add_subparsers(required=True, metavar="WORK")
    for name, what in WORKS.items():
        work = works.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        work.set_defaults(backup_work=name, run=_run)


def _run(options: argparse.Namespace) -> int:
    """Do the work that the command line names; exit code 1, and one sentence on stderr, for what cannot be done."""
    try:
        # Only now: no daemon needs the modules in its memory.
        command = importlib.import_module("graphing.backup.command")
        return int(command.run(options.backup_work, sys.stdin, sys.stdout))
    except BackupError as error:
        print(error, file=sys.stderr)
        return 1
