"""Who may change something in graphite-web, who may look, and where its redirects may lead."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from graphing_web import guard

SCRIPT = {"X-Requested-With": "XMLHttpRequest"}


def request(view: str = "render", method: str = "GET", user: bool = False, path: str = "/", **headers: str) -> Any:
    """A request that came through nginx."""
    return SimpleNamespace(
        resolver_match=SimpleNamespace(view_name=view),
        method=method,
        user=SimpleNamespace(is_authenticated=user),
        headers={"X-Forwarded-For": "192.0.2.1", **headers},
        get_full_path=lambda: path,
        get_host=lambda: "graphs.example.org",
    )


def process(asked: Any) -> Any:
    return guard.Guard(lambda _: None).process_view(asked, None, (), {})


@pytest.fixture
def login_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard.settings, "LOGIN_TO_READ", True)


@pytest.mark.parametrize("view", sorted(guard.WRITES))
def test_nobody_changes_something_without_a_login(view: str) -> None:
    answer = process(request(view, "POST"))
    assert answer.status_code == 403
    assert json.loads(answer.content) == {"error": "Log in to change something."}


@pytest.mark.parametrize("view", ["dashboard_delete", "events"])
def test_who_has_logged_in_may_change_something(view: str) -> None:
    assert process(request(view, "POST", user=True)) is None


def test_a_link_of_another_site_changes_nothing() -> None:
    assert process(request("dashboard_delete", "GET", user=True)).status_code == 403
    assert process(request("dashboard_delete", "GET", user=True, **SCRIPT)) is None


@pytest.mark.parametrize(("method", "refused"), [("GET", False), ("HEAD", False), ("POST", True), ("DELETE", True)])
def test_events_are_read_by_anybody_and_written_by_few(method: str, refused: bool) -> None:
    assert (process(request("events", method)) is not None) is refused


def test_what_did_not_come_through_nginx_passes() -> None:
    asked = request("dashboard_save", "POST")
    del asked.headers["X-Forwarded-For"]
    assert process(asked) is None


@pytest.mark.usefixtures("login_to_read")
def test_a_page_leads_to_the_login_and_back_where_one_must_log_in_to_look() -> None:
    answer = process(request("dashboard", path="/dashboard/a b?x=1&y=2", Accept="text/html,*/*"))
    assert answer.headers["Location"] == "/account/login?nextPage=/dashboard/a%20b%3Fx%3D1%26y%3D2"


@pytest.mark.usefixtures("login_to_read")
def test_a_script_is_told_to_log_in_where_one_must_log_in_to_look() -> None:
    assert process(request("render")).status_code == 401
    assert process(request("render", user=True)) is None


@pytest.mark.usefixtures("login_to_read")
@pytest.mark.parametrize("view", sorted(guard.LOGINS))
def test_the_login_itself_is_open(view: str) -> None:
    assert process(request(view, Accept="text/html")) is None


def test_a_login_leads_to_the_first_page_where_the_address_would_be_too_long() -> None:
    assert guard.login_address("/" + "a" * guard.LONGEST) == "/account/login?nextPage=/"


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [("/browser/", "/browser/"), ("http://graphs.example.org/x", None), ("http://evil.example/x", "/")],
)
def test_no_redirect_leads_to_another_site(target: str, leads_to: str | None) -> None:
    answer = guard.Guard(lambda _: SimpleNamespace(headers={"Location": target}))(request())
    assert answer.headers["Location"] == (leads_to or target)
