"""A Borg repository, reached by the command `borg`; what Borg complains of becomes one sentence."""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from graphing.backup import BackupError

BORG = ("borg", "--log-json", "--lock-wait", "30")
BORG_HOME = "/var/cache/graphing-backup"
"""What Borg remembers of repositories; it may be removed at any time."""
BLOCK = 16384
"""Bytes of a piece. A whisper file changes in few of its blocks from one backup to the next, and never in length."""
SEGMENT = "32M"
"""The size of a repository's files, each of which is copied to the controller in one piece."""

_SENTENCES = {
    "PassphraseWrong": "the passphrase does not open it. Give the one that it was made with (backup_passphrase)",
    "Repository.DoesNotExist": "there are no backups there",
    "Repository.InvalidRepository": "that is no Borg repository",
    "Repository.AlreadyExists": "there is a repository already",
    "Repository.InsufficientFreeSpaceError": "its file system is full but for backup_reserve. Make room there",
    "LockTimeout": "another backup or restore is using it. Wait until it ends; if there is none, `borg break-lock`",
    "LockFailed": "it cannot be written. Its directory must belong to the user that Borg runs as",
    "ConnectionClosed": "the host that keeps it does not answer by SSH, or has no Borg",
    "ConnectionClosedWithHint": "the host that keeps it does not answer by SSH, or has no Borg",
}
_WARNINGS = (0, 1)
"""Borg's exit statuses for what is done, 1 for something to mind."""


def explain(repository: str, log: str) -> str:
    """Make one sentence of what Borg logged as JSON; what it has no name for may be damage."""
    entries = []
    for line in log.splitlines():
        with contextlib.suppress(ValueError):
            entries.append(json.loads(line))
    errors = [entry for entry in entries if entry.get("levelname") in ("ERROR", "CRITICAL")]
    for entry in errors:
        if sentence := _SENTENCES.get(entry.get("msgid")):
            return f"{repository}: {sentence}."
    said = " ".join((errors[-1]["message"] if errors else log.strip() or "no reason given").split())
    return f"{repository} is damaged, or Borg failed: {said[:300]}"


def is_remote(location: str) -> bool:
    """Tell whether a repository is on another host."""
    return "://" in location or ":" in location.partition("/")[0]


def is_begun(location: str) -> bool:
    """Tell whether there is a repository in a directory of this host."""
    return not is_remote(location) and Path(location, "config").exists()


@dataclass(frozen=True)
class Repository:
    """Where backups are kept, and what opens it."""

    location: str
    """A directory of this host, or ssh://USER@HOST/DIRECTORY."""
    passphrase: str
    ssh: str
    """How SSH is called."""
    called: str
    """What a person calls it: it may be a copy of another one that is read."""

    def run(self, *arguments: str, cwd: str | Path | None = None) -> str:
        """Run Borg; return what it printed. Raises BackupError."""
        done = subprocess.run(
            [*BORG, *arguments],
            env=self._environment(),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in _WARNINGS:
            raise BackupError(explain(self.called, done.stderr))
        return done.stdout

    def prepare(self, reserve: str) -> None:
        """Make the repository if there is none; `reserve` is what it leaves free. Raises BackupError."""
        if is_begun(self.location) or (is_remote(self.location) and self._answers()):
            return
        self.run("init", "--encryption", "repokey-blake2", "--make-parent-dirs", self.location)
        if not is_remote(self.location):
            self.run("config", self.location, "max_segment_size", SEGMENT)
            self.run("config", self.location, "additional_free_space", reserve)

    def archives(self, pattern: str) -> list[str]:
        """Return the names of the archives, oldest first. Raises BackupError."""
        listed = json.loads(self.run("list", "--json", "--glob-archives", pattern, self.location))
        return [archive["name"] for archive in listed["archives"]]

    def import_archive(self, name: str, fill: Callable[[IO[bytes]], None]) -> dict[str, Any]:
        """Have Borg import the tar stream that `fill` writes; return its figures. Raises BackupError."""
        command = [*BORG, "import-tar", "--json", "--compression", "zstd,3", "--chunker-params", f"fixed,{BLOCK}"]
        command += [f"{self.location}::{name}", "-"]
        answer = b""
        with tempfile.TemporaryFile("w+") as log:
            # A pipe that breaks is Borg's end: its log says why.
            with (
                contextlib.suppress(BrokenPipeError),
                subprocess.Popen(
                    command, env=self._environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
                ) as process,
            ):
                answer = _fed(process, fill)
            if process.returncode not in _WARNINGS or not answer:
                log.seek(0)
                raise BackupError(explain(self.location, log.read()))
        figures: dict[str, Any] = json.loads(answer)
        return figures

    def _answers(self) -> bool:
        try:
            self.run("info", self.location)
        except BackupError as error:
            if _SENTENCES["Repository.DoesNotExist"] not in str(error):
                raise
            return False
        return True

    def _environment(self) -> dict[str, str]:
        """Tell Borg by its environment, which no other user can read."""
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "BORG_BASE_DIR": BORG_HOME,
            "BORG_PASSPHRASE": self.passphrase,
            "BORG_RSH": self.ssh,
            # A copy of a repository is what a lost host is restored from.
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }


def _fed(process: "subprocess.Popen[bytes]", fill: Callable[[IO[bytes]], None]) -> bytes:
    """Feed a process and return what it answers."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process has no pipes")
    try:
        fill(process.stdin)
        process.stdin.close()
    except BrokenPipeError:
        raise
    except BaseException:
        process.terminate()  # before its input ends, or it would keep half an archive
        process.wait()
        raise
    return process.stdout.read()
