"""A folder of source files on a host: the files of the repository, and no others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.errors import AnsibleError
from modules import Failed, run_module

FILES = {"__init__.py": '"""It."""\n', "lines.py": "größe = 1\nb = 1\n", "below/deep.py": "b = 2\n"}


class Host:
    """A folder that a task brings to what is given."""

    def __init__(self, module: ModuleType, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._module, self._capsys, self.folder = module, capsys, folder

    def install(self, files: dict[str, str] = FILES, check: bool = False) -> dict[str, Any]:
        return run_module(self._module, self._capsys, check, path=str(self.folder), files=files)

    def holds(self) -> dict[str, str]:
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_text() for path in paths}


@pytest.fixture
def host(load: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Host:
    return Host(load("plugins/modules/source_folder.py"), capsys, tmp_path / "lib/graphing/guard")


@pytest.fixture
def installed(host: Host) -> Host:
    assert host.install()["changed"]
    return host


def test_what_is_given_is_there_afterwards(installed: Host) -> None:
    assert installed.holds() == FILES
    modes = {path.stat().st_mode & 0o777 for path in installed.folder.rglob("*.py")}
    folders = {path.stat().st_mode & 0o777 for path in (installed.folder, installed.folder / "below")}
    assert (modes, folders) == ({0o644}, {0o755})


def test_a_second_run_changes_nothing(installed: Host) -> None:
    before = {path: path.stat().st_mtime_ns for path in installed.folder.rglob("*")}
    answer = installed.install()
    assert not answer["changed"]
    assert answer["diff"] == {"prepared": ""}
    assert {path: path.stat().st_mtime_ns for path in installed.folder.rglob("*")} == before


def test_a_check_says_what_it_would_do_and_does_nothing(host: Host) -> None:
    answer = host.install(check=True)
    assert answer["changed"]
    assert answer["written"] == sorted(FILES)
    assert not host.folder.parent.parent.exists()


def test_what_is_no_longer_given_goes(installed: Host) -> None:
    rest = {name: text for name, text in FILES.items() if name != "below/deep.py"}
    (installed.folder / "left.py").symlink_to("/dev/null")
    answer = installed.install(rest)
    assert answer["removed"] == ["below", "left.py"]
    assert installed.holds() == rest


def test_what_python_compiled_is_left_alone(installed: Host) -> None:
    (installed.folder / "__pycache__").mkdir()
    assert not installed.install()["changed"]
    assert (installed.folder / "__pycache__").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("other\n"),
        lambda path: path.chmod(0o666),
        lambda path: (path.unlink(), path.symlink_to("/dev/null")),
        lambda path: (path.unlink(), path.mkdir(), (path / "x").touch()),
    ],
    ids=["another text", "another mode", "a link", "a folder"],
)
def test_what_somebody_changed_is_set_back(installed: Host, spoil: Callable[[Path], object]) -> None:
    spoil(installed.folder / "lines.py")
    assert installed.install()["written"] == ["lines.py"]
    assert installed.holds() == FILES
    assert not os.path.islink(installed.folder / "lines.py")


def test_the_difference_is_that_of_lines(installed: Host) -> None:
    shown = installed.install(FILES | {"lines.py": "größe = 2\nb = 1\n"}, check=True)["diff"]["prepared"]
    path = installed.folder / "lines.py"
    names = [f"--- {path}", f"+++ {path}"]
    assert shown.splitlines() == [*names, "@@ -1,2 +1,2 @@", "-größe = 1", "+größe = 2", " b = 1"]


@pytest.mark.parametrize("name", ["../x.py", "/etc/x.py", "a/../../x.py", ""])
def test_a_name_that_leads_elsewhere_is_refused(host: Host, name: str) -> None:
    with pytest.raises(Failed, match="not a name within the folder"):
        host.install({name: "x"})


def test_sources_are_read_without_what_python_made_of_them(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    look = load("plugins/lookup/source_files.py")
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/lines.cpython-313.pyc").write_bytes(b"\xff")
    assert look.read_sources(tmp_path) == FILES
    assert look.LookupModule().run([tmp_path]) == [FILES]
    with pytest.raises(AnsibleError, match="no Python file"):
        look.LookupModule().run([tmp_path / "__pycache__"])
