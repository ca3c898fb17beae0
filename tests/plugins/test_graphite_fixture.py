"""The module that has accounts and dashboards brought to what is declared, without graphite-web."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from modules import Failed, run_module

ADMIN: dict[str, Any] = {"username": "admin", "password": "s3cret-of-admin", "superuser": True}
LEFT = {"email": "", "name": "", "state": "present"}
DASHBOARD = {"name": "Photoworld", "graphs": [["a", {"from": -3600}]], "none": None}

PROGRAM = """
import json, os, pathlib, sys
here = pathlib.Path(sys.argv[0]).parent
(here / "asked").write_text(json.dumps([sys.argv[1:], json.load(sys.stdin), os.environ.get("DJANGO_SETTINGS_MODULE")]))
print("a word of somebody's")
print((here / "answer").read_text())
sys.exit("no database" if not (here / "answer").read_text() else 0)
"""
# No path to Python in a first line: it may hold blanks.
COMMAND = """#!/bin/sh
exec '{python}' "$0.py" "$@"
"""
RUNUSER = """#!/bin/sh
echo "$1 $2 $3 $4" > "$(dirname "$0")/as"
shift 4
exec "$@"
"""


class Host:
    """One with a command that answers what it is told to."""

    def __init__(self, module: ModuleType, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._module, self._capsys, self.folder = module, capsys, folder
        self.command = folder / "graphing-web"

    def bring(self, answer: str = '{"changes": []}', check: bool = False) -> dict[str, Any]:
        (self.folder / "answer").write_text(answer)
        given = {"accounts": [ADMIN], "dashboards": [DASHBOARD], "command": str(self.command), "user": "_graphite"}
        return run_module(self._module, self._capsys, check, **given)

    def asked(self) -> list[Any]:
        found: list[Any] = json.loads((self.folder / "asked").read_text())
        return found


@pytest.fixture
def host(
    load: Callable[[str], ModuleType],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Host:
    command = COMMAND.format(python=sys.executable)
    for name, text in (("graphing-web", command), ("graphing-web.py", PROGRAM), ("runuser", RUNUSER)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "graphite.settings")
    return Host(load("plugins/modules/graphite_fixture.py"), capsys, tmp_path)


def test_the_command_gets_all_by_stdin_as_the_user_of_graphite_web(host: Host) -> None:
    host.bring()
    wish = {"accounts": [LEFT | ADMIN], "dashboards": [DASHBOARD]}
    assert host.asked() == [["fixture"], wish, "graphite.settings"]
    assert (host.folder / "as").read_text() == "--preserve-environment -u _graphite --\n"


def test_it_says_what_has_changed(host: Host) -> None:
    answer = host.bring('{"changes": ["account admin: created", "dashboard Photoworld: changed"]}')
    assert answer["changed"]
    assert answer["changes"] == ["account admin: created", "dashboard Photoworld: changed"]
    assert answer["diff"]["prepared"] == "+account admin: created\n+dashboard Photoworld: changed\n"


def test_where_nothing_changes_it_says_so(host: Host) -> None:
    answer = host.bring()
    assert (answer["changed"], answer["changes"]) == (False, [])


def test_a_check_only_asks(host: Host) -> None:
    assert host.bring('{"changes": ["account admin: created"]}', check=True)["changed"]
    assert host.asked()[0] == ["fixture", "--check"]


def test_a_check_before_the_first_run_has_nobody_to_ask(host: Host) -> None:
    host.command.unlink()
    answer = host.bring(check=True)
    assert (answer["changed"], answer["changes"]) == (False, [])
    with pytest.raises(Failed):
        host.bring()


def test_a_failure_is_told_without_the_password(host: Host) -> None:
    with pytest.raises(Failed, match=r"fixture has failed \(1\): no database") as failed:
        host.bring("")
    assert ADMIN["password"] not in str(failed.value)


def test_no_answer_repeats_a_password(host: Host) -> None:
    assert ADMIN["password"] not in json.dumps(host.bring('{"changes": ["account s3cret-of-admin: created"]}'))
