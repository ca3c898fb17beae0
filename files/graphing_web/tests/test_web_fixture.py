"""Accounts and dashboards, brought to what is declared."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from graphite_stand_ins import Rows

from graphing_web import __main__ as command
from graphing_web import fixture

ANN = {"username": "ann", "password": "one", "email": "ann@example.org", "name": "Ann Other"}


class User(SimpleNamespace):
    """A model as Django's."""

    objects: ClassVar[Rows]

    def __init__(self, username: str) -> None:
        plain = {"email": "", "first_name": "", "last_name": "", "password": ""}
        super().__init__(username=username, is_superuser=False, is_staff=False, is_active=True, **plain)

    def set_password(self, password: str) -> None:
        self.password = f"hash of {password}"

    def save(self) -> None:
        self.objects.append(self)

    def delete(self) -> None:
        self.objects.remove(self)


class Dashboards(Rows):
    """The table of dashboards."""

    def update_or_create(self, name: str, defaults: dict[str, str]) -> None:
        self[:] = [row for row in self if row.name != name] + [SimpleNamespace(name=name, **defaults)]


@pytest.fixture(autouse=True)
def database(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """An empty one, whose tables are there."""
    User.objects = Rows()
    dashboards = Dashboards()
    monkeypatch.setattr(sys.modules["django.contrib.auth.models"], "User", User)
    monkeypatch.setattr(sys.modules["graphite.dashboard.models"], "Dashboard", SimpleNamespace(objects=dashboards))
    monkeypatch.setattr(fixture, "pending_migrations", list)
    return SimpleNamespace(users=User.objects, dashboards=dashboards)


def bring(*accounts: dict[str, Any], dashboards: tuple[dict[str, Any], ...] = (), check: bool = False) -> list[str]:
    return fixture.bring_all({"accounts": accounts, "dashboards": dashboards}, check)


def test_an_account_is_made_once(database: SimpleNamespace) -> None:
    assert bring(ANN) == ["account ann: created"]
    assert bring(ANN) == []
    (ann,) = database.users
    assert (ann.first_name, ann.last_name, ann.password, ann.is_superuser) == ("Ann", "Other", "hash of one", False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "two"}, "account ann: password"),
        ({"email": "a@example.org", "name": "Ann"}, "account ann: email, last_name"),
        ({"superuser": True}, "account ann: is_staff, is_superuser"),
        ({"state": "absent"}, "account ann: removed"),
    ],
)
def test_what_differs_is_changed_and_named(changes: dict[str, Any], said: str) -> None:
    bring(ANN)
    assert bring(ANN | changes, check=True) == [said]
    assert bring(ANN | changes) == [said]
    assert bring(ANN | changes) == []


def test_an_account_that_is_to_be_absent_and_is_so_is_not_said() -> None:
    assert bring({"username": "eve", "password": "", "state": "absent"}) == []


def test_a_dashboard_is_saved_once_and_set_back(database: SimpleNamespace) -> None:
    own = {"name": "Photoworld", "graphs": [["a", {}]]}
    assert bring(dashboards=(own,)) == ["dashboard Photoworld: created"]
    assert bring(dashboards=(own,)) == []
    database.dashboards[0].state = json.dumps(own | {"graphs": []})
    assert bring(dashboards=(own,)) == ["dashboard Photoworld: changed"]
    assert json.loads(database.dashboards[0].state) == own


def test_a_check_writes_nothing(database: SimpleNamespace) -> None:
    assert bring(ANN, dashboards=({"name": "D"},), check=True) == ["account ann: created", "dashboard D: created"]
    assert (database.users, database.dashboards) == ([], [])


@pytest.mark.parametrize("check", [False, True])
def test_tables_come_first(monkeypatch: pytest.MonkeyPatch, check: bool) -> None:
    asked: list[str] = []
    monkeypatch.setattr(fixture, "pending_migrations", lambda: ["auth.0001", "auth.0002"])
    monkeypatch.setattr(fixture, "call_command", lambda name, **_: asked.append(name))
    later = "accounts and dashboards: created" if check else "account ann: created"
    assert bring(ANN, check=check) == ["tables: 2 migrations", later]
    assert asked == ([] if check else ["migrate"])


def test_the_command_says_what_has_changed_and_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["graphing-web", "fixture"])
    monkeypatch.setattr(
        sys, "stdin", io.StringIO(json.dumps({"accounts": [ANN | {"password": "x9!"}], "dashboards": []}))
    )
    command.main()
    said = capsys.readouterr().out
    assert json.loads(said) == {"changes": ["account ann: created"]}
    assert "x9!" not in said


@pytest.mark.parametrize("arguments", [[], ["fixture", "--chekc"], ["other"]])
def test_the_command_explains_itself_to_who_asks_otherwise(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["graphing-web", *arguments])
    with pytest.raises(SystemExit, match="Usage: graphing-web"):
        command.main()
