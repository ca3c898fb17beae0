"""What strangers must not be able to do."""

import dataclasses

import pytest

from photoworld.app import create_app

FORMS = ["/signup", "/login", "/logout", "/threads/new", "/threads/1/reply"]


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_token_is_refused(person, path):
    person.sign_up()
    person.start_thread()
    fields = {"name": "eve", "password": "long enough", "title": "forged", "body": "forged"}
    answer = person.client.post(path, data=fields)
    assert answer.status_code == 403
    assert "This form has expired" in answer.text
    front = person.get("/").text
    assert "forged" not in front
    assert "Log out" in front, "nor was the member logged out"


def test_a_token_of_somebody_else_is_refused(person, new_person):
    foreign = new_person().token("/login")
    person.sign_up()
    data = {"csrf_token": foreign, "title": "forged", "body": "forged"}
    assert person.client.post("/threads/new", data=data).status_code == 403


def test_an_empty_token_is_refused_also_before_the_session_has_one(person):
    assert person.client.post("/login", data={"csrf_token": ""}).status_code == 403


def test_the_token_changes_as_somebody_logs_in(person):
    before = person.token("/login")
    person.sign_up()
    assert person.token("/") != before


def test_text_is_shown_as_text(person):
    attack = "<script>alert('x')</script>"
    person.sign_up()
    person.start_thread(attack, attack)
    for path in ("/", "/threads/1"):
        page = person.get(path).text
        assert "<script" not in page
        assert "&lt;script&gt;" in page


def test_a_refused_title_is_escaped_inside_its_field(person):
    person.sign_up()
    page = person.start_thread('"><script>' + "x" * 200, "text").text
    assert "<script" not in page


@pytest.mark.parametrize("path", ["/", "/login", "/nowhere", "/healthz", "/static/style.css"])
def test_every_answer_carries_the_security_headers(person, path):
    headers = person.get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_pages_are_not_kept_by_caches(person):
    assert person.get("/").headers["Cache-Control"] == "no-store"


def test_pages_load_nothing_from_elsewhere(person):
    person.sign_up()
    person.start_thread()
    for path in ("/", "/threads/1", "/threads/new", "/login", "/signup"):
        page = person.get(path).text
        assert "//" not in page.replace("<!doctype html>", "")
        assert "style=" not in page


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(person):
    cookies = person.get("/login").headers.getlist("Set-Cookie")
    assert len(cookies) == 2
    for cookie in cookies:
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Secure" not in cookie


def test_cookies_are_marked_secure_behind_a_proxy_that_speaks_https(configuration):
    app = create_app(dataclasses.replace(configuration, behind_proxy=True))
    answer = app.test_client().get("/login", headers={"X-Forwarded-Proto": "https"})
    cookies = answer.headers.getlist("Set-Cookie")
    assert len(cookies) == 2
    assert all("Secure" in cookie for cookie in cookies)


def test_forwarded_headers_mean_nothing_without_a_proxy(person):
    answer = person.client.get("/login", headers={"X-Forwarded-Proto": "https"})
    assert not any("Secure" in cookie for cookie in answer.headers.getlist("Set-Cookie"))
