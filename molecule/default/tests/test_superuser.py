"""The superuser: the right password gets in, a wrong one does not, and there is one account of the name.

The scenario's side effect has changed it, changed nothing, removed it and let it come back before.
"""

import json
import re
from pathlib import Path

import pytest

QUERY = """
import json, sqlite3
rows = sqlite3.connect("/var/lib/graphite/web/graphite.db").execute(
    "select username, is_superuser, is_staff, is_active, email, first_name, last_name from auth_user")
print(json.dumps(rows.fetchall()))
"""


@pytest.fixture
def password(host):
    name = host.check_output("hostname")
    return (Path(__file__).parents[1] / "inventory/secrets" / name / "graphite_web_admin_password").read_text().strip()


def cookies(answer):
    return {value.split("=")[0]: value.split(";")[0] for name, value in answer["headers"] if name == "set-cookie"}


def log_in(site, password, user="admin"):
    return site.request("/account/login", {"username": user, "password": password, "nextPage": "/"}, Host="localhost")


def test_the_right_password_gets_in(site, password):
    answer = log_in(site, password)
    assert answer["status"] == 302
    assert "sessionid" in cookies(answer)


@pytest.mark.parametrize("wrong", ["", "admin", "another-password-than-the-first"])
def test_a_wrong_password_does_not(site, wrong):
    answer = log_in(site, wrong)
    assert answer["status"] == 200
    assert "sessionid" not in cookies(answer)


def test_the_admin_pages_want_a_token_and_then_open(site, password):
    form = {"username": "admin", "password": password, "next": "/admin/"}
    page = site.request("/admin/login/?next=/admin/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page["body"])[1]
    cookie = cookies(page)["csrftoken"]
    assert site.request("/admin/login/", form)["status"] == 403
    sent = {"Cookie": cookie, "Referer": f"{site.web}/admin/login/"}
    answer = site.request("/admin/login/", {**form, "csrfmiddlewaretoken": token}, **sent)
    assert answer["status"] == 302
    session = cookies(answer)["sessionid"]
    index = site.request("/admin/", Cookie=session)
    assert index["status"] == 200
    assert "Site administration" in index["body"]
    style = re.search(r'href="(/static/admin/[^"]+\.css)"', index["body"])[1]
    assert site.request(style)["status"] == 200


def test_there_is_one_superuser_and_it_is_the_declared_one(site):
    rows = {row[0]: row[1:] for row in json.loads(site.python(QUERY))}
    assert rows["admin"] == [1, 1, 1, "admin@localhost", "Administrator", ""]
    assert [name for name, row in rows.items() if row[0]] == ["admin"]


def test_further_accounts_are_as_declared(site):
    rows = {row[0]: row[1:] for row in json.loads(site.python(QUERY))}
    assert rows["ann"] == [0, 0, 1, "ann@example.org", "Ann", "Other"]
    assert "eve" not in rows


@pytest.mark.parametrize("path", ["/events/", "/tags/tagSeries", "/tags/delSeries", "/metrics/set-metadata/"])
def test_nobody_writes_without_a_login(site, path):
    assert site.request(path, {"what": "x", "path": "x"})["status"] == 403


def test_a_dashboard_is_saved_by_people_who_are_logged_in(site, password):
    state = {"state": '{"name": "mine", "graphs": []}'}
    refused = site.request("/dashboard/save/mine", state)
    assert '"success"' not in refused["body"]
    session = cookies(log_in(site, password))["sessionid"]
    assert '"success"' in site.request("/dashboard/save/mine", state, Cookie=session)["body"]
    assert '"success"' in site.request("/dashboard/delete/mine", {}, Cookie=session)["body"]


def test_a_request_for_another_host_is_refused(site):
    assert site.request("/", Host="evil.example.org")["status"] == 400
