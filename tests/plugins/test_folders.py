"""A folder of data in a backup: the commands that print it and that put it back, run by the shell of this computer."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def commands(load: Callable[[str], ModuleType], tmp_path: Path) -> dict[str, Any]:
    [database] = load("plugins/filter/folders.py").as_databases([{"path": str(tmp_path / "book of guests")}])
    found: dict[str, Any] = database
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "book of guests"
    made.mkdir(mode=0o750)
    (made / "page").write_text("ann")
    (made / "page").chmod(0o640)
    (made / ".hidden").mkdir()
    return made


def run(command: list[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=given, capture_output=True, check=False)


def contents(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mode for path in [folder, *folder.rglob("*")]}


def test_it_is_named_by_the_folder(commands: dict[str, Any]) -> None:
    assert commands["name"] == "book of guests.tar"


def test_what_was_there_comes_back_and_what_came_later_goes(commands: dict[str, Any], folder: Path) -> None:
    before = contents(folder)
    archive = run(commands["dump"])
    assert (archive.returncode, archive.stderr) == (0, b"")
    (folder / "page").write_text("bob")
    (folder / "later").write_text("")
    assert run(commands["load"], archive.stdout).returncode == 0
    assert (contents(folder), (folder / "page").read_text()) == (before, "ann")
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_damaged_archive_changes_nothing(commands: dict[str, Any], folder: Path) -> None:
    (folder / "page").write_text("ann\n" * 10_000)
    before = contents(folder)
    archive = run(commands["dump"]).stdout
    done = run(commands["load"], archive[: len(archive) // 2])
    assert done.returncode != 0
    assert b"tar" in done.stderr
    assert contents(folder) == before


def test_a_folder_that_was_never_made_is_empty(commands: dict[str, Any], tmp_path: Path) -> None:
    archive = run(commands["dump"])
    assert archive.returncode == 0
    assert run(commands["load"], archive.stdout).returncode == 0
    assert list((tmp_path / "book of guests").iterdir()) == []


def test_what_is_no_folder_says_why_it_cannot_be_read(commands: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "book of guests").write_text("a file")
    done = run(commands["dump"])
    assert done.returncode != 0
    assert b"Not a directory" in done.stderr
