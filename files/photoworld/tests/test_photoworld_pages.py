"""The forum as people see it."""

import dataclasses
import sqlite3

import pytest
from werkzeug.security import generate_password_hash

from photoworld import accounts, forum
from photoworld.app import create_app


def test_an_empty_forum_invites_to_start(person):
    assert "Nobody has started a thread yet" in person.get("/").text


def test_a_member_signs_up_starts_a_thread_and_gets_a_reply(person, new_person):
    assert person.sign_up("ada").location == "/"
    assert "ada" in person.get("/").text
    assert person.start_thread("Fog over the harbour", "First light.").location == "/threads/1"

    other = new_person()
    other.sign_up("grace")
    assert other.reply(1, "Which lens?").location == "/threads/1#end"

    page = new_person().get("/threads/1").text
    assert page.index("First light.") < page.index("Which lens?")
    assert "2 posts" in page
    assert "Log in</a> to reply" in page


def test_logging_out_and_in_again(person):
    person.sign_up()
    assert "Log out" in person.get("/").text
    person.log_out()
    assert "Log out" not in person.get("/").text
    assert person.log_in().location == "/"
    assert "Log out" in person.get("/").text


def test_names_do_not_differ_by_case(person, new_person):
    person.sign_up("Ada")
    assert new_person().sign_up("ada").status_code == 409
    assert new_person().log_in("ADA").status_code == 303


def test_a_wrong_password_is_refused(person):
    person.sign_up()
    person.log_out()
    answer = person.log_in(password="wrong horse")
    assert answer.status_code == 403
    assert "do not belong together" in answer.text
    assert 'value="ada"' in answer.text, "the name needs not be typed again"
    assert "wrong horse" not in answer.text
    assert "Log out" not in person.get("/").text


def test_an_unknown_name_gets_the_same_answer_as_a_wrong_password(person):
    assert "do not belong together" in person.log_in("nobody").text


def test_a_name_can_be_taken_once(person, new_person, configuration):
    person.sign_up("ada")
    answer = new_person().sign_up("ada", "another password")
    assert answer.status_code == 409
    assert "The name ada is taken." in answer.text
    with sqlite3.connect(configuration.database) as database:
        assert database.execute("SELECT count(*) FROM member").fetchone() == (1,)


def test_passwords_are_stored_hashed(person, configuration):
    person.sign_up(password="correct horse")
    stored = configuration.database.read_bytes()
    wal = configuration.database.with_name(configuration.database.name + "-wal")
    stored += wal.read_bytes() if wal.exists() else b""
    assert b"correct horse" not in stored
    assert b"pbkdf2:sha256:600000$" in stored


@pytest.mark.parametrize(
    ("name", "password", "says"),
    [
        ("ab", "long enough", "3 to 30 letters"),
        ("a" * 31, "long enough", "3 to 30 letters"),
        ("a b c", "long enough", "3 to 30 letters"),
        ("<b>x</b>", "long enough", "3 to 30 letters"),
        ("ada", "short", "8 to 128 characters"),
        ("ada", "x" * 129, "8 to 128 characters"),
    ],
)
def test_limits_of_an_account(person, name, password, says):
    answer = person.sign_up(name, password)
    assert answer.status_code == 400
    assert says in answer.text


@pytest.mark.parametrize(
    ("title", "body", "says"),
    [
        (" \t ", "text", "The title is empty."),
        ("x" * (forum.TITLE_MAX + 1), "text", "The title has 121 characters; 120 is the most."),
        ("title", "\r\n \r\n", "The post is empty."),
        ("title", "x" * (forum.POST_MAX + 1), "The post has 10001 characters; 10000 is the most."),
        ("a\x00b", "text", "The title contains control characters."),
    ],
)
def test_limits_of_a_thread(person, title, body, says):
    person.sign_up()
    answer = person.start_thread(title, body)
    assert answer.status_code == 400
    assert says in answer.text
    assert "Nobody has started a thread yet" in person.get("/").text


def test_the_longest_title_and_post_are_taken(person):
    person.sign_up()
    body = "é\r\n" * (forum.POST_MAX // 2)
    assert person.start_thread("x" * forum.TITLE_MAX, body).status_code == 303


def test_a_refused_reply_is_not_lost(person):
    person.sign_up()
    person.start_thread()
    answer = person.reply(1, "y" * (forum.POST_MAX + 1))
    assert answer.status_code == 400
    assert "y" * (forum.POST_MAX + 1) in answer.text


def test_a_request_of_unreasonable_size_is_refused(person):
    person.sign_up()
    assert person.start_thread("title", "x" * 100_000).status_code == 413


def test_a_full_thread_takes_no_reply(person, configuration):
    person.sign_up()
    person.start_thread()
    with sqlite3.connect(configuration.database) as database:
        row = (1, 1, "more", 0.0)
        database.executemany(
            "INSERT INTO post (thread_id, member_id, body, posted_at) VALUES (?, ?, ?, ?)",
            [row] * (forum.THREAD_POSTS_MAX - 2),
        )
    token = person.token("/threads/1")
    last = person.client.post("/threads/1/reply", data={"csrf_token": token, "body": "the last"})
    assert last.location == "/threads/1?page=10#end"
    answer = person.client.post("/threads/1/reply", data={"csrf_token": token, "body": "one too many"})
    assert answer.status_code == 400
    assert "This thread is full (500 posts)" in answer.text


def test_the_front_page_shows_the_newest_activity_first_and_turns_pages(person):
    person.sign_up()
    for number in range(forum.THREADS_PER_PAGE + 1):
        person.start_thread(f"Thread number {number:02}")
    first = person.get("/").text
    assert first.index("number 20") < first.index("number 19")
    assert "number 00" not in first
    assert "number 00" in person.get("/?page=2").text

    person.reply(1, "up again")
    assert person.get("/").text.index("number 00") < person.get("/").text.index("number 20")


@pytest.mark.parametrize("page", ["0", "-1", "x", "²", "99", "9" * 5000, "1e3", ""])
def test_a_page_number_that_means_nothing_shows_the_nearest_page(person, page):
    assert person.get(f"/?page={page}").status_code == 200


def test_old_threads_make_room(configuration, new_person):
    small = dataclasses.replace(configuration, keep_threads=2)
    person = new_person(create_app(small))
    person.sign_up()
    person.start_thread("one")
    person.start_thread("two")
    person.reply(1, "one stays, as it is the talk of the day")
    person.start_thread("three")
    assert [person.get(f"/threads/{number}").status_code for number in (1, 2, 3)] == [200, 404, 200]
    with sqlite3.connect(small.database) as database:
        assert database.execute("SELECT count(*) FROM post WHERE thread_id = 2").fetchone() == (0,)


def test_strangers_are_sent_to_the_log_in_page(person):
    assert person.get("/threads/new").location == "/login"
    assert "Please log in first." in person.get("/login").text


@pytest.mark.parametrize(
    "path", ["/nowhere", "/threads/1", "/threads/-1", "/threads/9223372036854775807", "/threads/" + "9" * 30]
)
def test_what_is_not_there_is_404(person, path):
    answer = person.get(path)
    assert answer.status_code == 404
    assert "To the front page" in answer.text


def test_a_wrong_method_says_which_are_right(person):
    answer = person.get("/logout")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_health(person, configuration):
    assert person.get("/healthz").status_code == 200
    configuration.database.unlink()
    answer = person.get("/healthz")
    assert answer.status_code == 503
    assert "database:" in answer.text
    assert not configuration.database.exists(), "a check must not make a new, empty forum"


def test_health_notices_a_database_that_lost_its_tables(person, configuration):
    with sqlite3.connect(configuration.database) as database:
        database.execute("DROP TABLE post")
        database.execute("DROP TABLE thread")
    assert person.get("/healthz").status_code == 503


def test_a_page_without_database_says_try_again(person, configuration):
    configuration.database.unlink()
    answer = person.get("/")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "Try again" in answer.text


def test_the_stylesheet_and_icon_are_there(person):
    assert person.get("/static/style.css").status_code == 200
    assert person.get("/static/icon.svg").mimetype == "image/svg+xml"


def test_a_password_longer_than_any_is_not_even_hashed(person, configuration):
    """It is refused although it is right, so nobody looked."""
    password = "x" * (accounts.PASSWORD_MAX + 1)
    person.sign_up()
    person.log_out()
    with sqlite3.connect(configuration.database) as database:
        stored = generate_password_hash(password, "pbkdf2:sha256:1")
        database.execute("UPDATE member SET password_hash = ?", (stored,))
    assert person.log_in(password=password).status_code == 403
