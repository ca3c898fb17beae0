"""Every number that reaches StatsD, as the very line that is sent."""

import dataclasses
import re
import sqlite3

import pytest

from photoworld import context, db, presence, reporter
from photoworld.app import create_app
from photoworld.metrics import Metrics


def counters(lines):
    return sorted(line for line in lines if line.endswith("|c"))


def lengths(lines):
    return [line for line in lines if ".thread_length:" in line]


def test_a_page(person, statsd):
    person.get("/")
    first, second, third = statsd.read()
    assert re.fullmatch(r"photoworld\.visitors:[0-9a-f]{32}\|s", first)
    assert re.fullmatch(r"photoworld\.request\.front:\d+\.\d{6}\|ms", second)
    assert third == "photoworld.responses.2xx:1|c"


def test_signing_up_is_no_log_in(person, statsd):
    token = person.token("/signup")
    statsd.read()
    person.client.post("/signup", data={"csrf_token": token, "name": "ada", "password": "correct horse"})
    assert counters(statsd.read()) == ["photoworld.responses.3xx:1|c", "photoworld.signups:1|c"]


def test_logging_in(person, statsd):
    person.sign_up()
    person.log_out()
    token = person.token("/login")
    statsd.read()
    person.client.post("/login", data={"csrf_token": token, "name": "ada", "password": "correct horse"})
    assert counters(statsd.read()) == ["photoworld.logins:1|c", "photoworld.responses.3xx:1|c"]


def test_failing_to_log_in(person, statsd):
    token = person.token("/login")
    statsd.read()
    person.client.post("/login", data={"csrf_token": token, "name": "ada", "password": "wrong"})
    assert counters(statsd.read()) == ["photoworld.logins_failed:1|c", "photoworld.responses.4xx:1|c"]


def test_starting_a_thread(person, statsd):
    person.sign_up()
    token = person.token("/threads/new")
    statsd.read()
    person.client.post("/threads/new", data={"csrf_token": token, "title": "Fog", "body": "Look."})
    lines = statsd.read()
    assert counters(lines) == ["photoworld.responses.3xx:1|c", "photoworld.threads:1|c"]
    assert lengths(lines) == ["photoworld.thread_length:1.000000|ms"]


def test_replying_reports_how_long_the_thread_is_now(person, statsd):
    person.sign_up()
    person.start_thread()
    token = person.token("/threads/1")
    for posts in (2, 3, 4):
        statsd.read()
        person.client.post("/threads/1/reply", data={"csrf_token": token, "body": "Nice."})
        lines = statsd.read()
        assert counters(lines) == ["photoworld.replies:1|c", "photoworld.responses.3xx:1|c"]
        assert lengths(lines) == [f"photoworld.thread_length:{posts}.000000|ms"]


def test_viewing_a_thread(person, statsd):
    person.sign_up()
    person.start_thread()
    statsd.read()
    person.get("/threads/1")
    lines = statsd.read()
    assert counters(lines) == ["photoworld.responses.2xx:1|c", "photoworld.views:1|c"]
    assert not lengths(lines)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/signup", {"name": "x", "password": "long enough"}),
        ("/threads/new", {"title": "", "body": "text"}),
        ("/threads/1/reply", {"body": ""}),
        ("/threads/99/reply", {"body": "text"}),
    ],
)
def test_what_was_refused_is_not_counted(person, statsd, path, fields):
    person.sign_up()
    person.start_thread()
    token = person.token("/")
    statsd.read()
    person.client.post(path, data={"csrf_token": token, **fields})
    lines = statsd.read()
    assert counters(lines) == ["photoworld.responses.4xx:1|c"]
    assert not lengths(lines)


def test_request_times_are_named_by_route_and_never_by_address(person, statsd):
    person.sign_up()
    person.start_thread()
    for path in ("/threads/1?page=7", "/static/style.css", "/healthz", "/a.b:1|c%0aevil", "/static/none"):
        person.get(path)
    person.client.post("/")
    named = {line.split(":")[0] for line in statsd.read() if "request." in line}
    assert named == {
        f"photoworld.request.{name}" for name in ("signup", "new_thread", "thread", "static", "healthz", "unmatched")
    }


def test_a_fault_is_reported_too(person, statsd, configuration):
    configuration.database.unlink()
    person.get("/")
    assert counters(statsd.read()) == ["photoworld.responses.5xx:1|c"]


def test_a_visitor_keeps_the_number_and_another_gets_another(person, new_person, statsd):
    for who in (person, person, new_person()):
        who.get("/")
    first, again, other = (line for line in statsd.read() if line.endswith("|s"))
    assert first == again
    assert first != other


@pytest.mark.parametrize("given", ["x", "a:1|c", "0" * 31, "A" * 32, '"a\\012b"'])
def test_a_visitor_does_not_choose_the_number(person, statsd, given):
    person.client.set_cookie("visitor", given)
    person.get("/")
    (line,) = (line for line in statsd.read() if "visitors" in line)
    assert re.fullmatch(r"photoworld\.visitors:[0-9a-f]{32}\|s", line)
    assert given not in line.partition(":")[2]


def test_machines_are_no_visitors(person, statsd, app, configuration):
    person.get("/healthz")
    person.get("/static/style.css")
    assert not [line for line in statsd.read() if line.endswith("|s")]
    with sqlite3.connect(configuration.database) as database:
        assert database.execute("SELECT count(*) FROM presence").fetchone() == (0,)


def test_active_sessions(app, new_person, statsd, configuration):
    people = [new_person() for _ in range(3)]
    for person in people:
        person.get("/")
        person.get("/login")
    people[0].sign_up()
    people[0].log_out()
    statsd.read()
    connection = db.connect(configuration.database)
    (now,) = connection.execute("SELECT max(seen_at) FROM presence").fetchone()
    metrics = context.metrics_of(app)

    reporter.report(connection, metrics, now)
    assert statsd.read() == ["photoworld.active_sessions:2|g"]
    reporter.report(connection, metrics, now + presence.ACTIVE_SECONDS)
    assert statsd.read() == ["photoworld.active_sessions:0|g"]
    assert connection.execute("SELECT count(*) FROM presence").fetchone()[0] == 0
    connection.close()


def test_no_bucket_has_two_kinds_or_lies_inside_another(person, statsd, app, configuration):
    """Whatever the forum sends, StatsD makes leaves below each bucket, and must not find a bucket there."""
    person.sign_up()
    person.log_out()
    person.log_in(password="wrong horse")
    person.log_in()
    person.start_thread()
    person.reply()
    for path in ("/", "/threads/1", "/healthz", "/static/style.css", "/nowhere"):
        person.get(path)
    connection = db.connect(configuration.database)
    reporter.report(connection, context.metrics_of(app), 0.0)
    connection.close()
    configuration.database.unlink()
    person.get("/")

    kinds: dict[str, set[str]] = {}
    for line in statsd.read():
        bucket, kind = re.fullmatch(r"([^:]+):[^|]+\|(c|ms|g|s)", line).groups()
        kinds.setdefault(bucket.removeprefix("photoworld."), set()).add(kind)
    assert {bucket for bucket in kinds if "." not in bucket} == {
        "logins",
        "logins_failed",
        "signups",
        "threads",
        "replies",
        "views",
        "thread_length",
        "visitors",
        "active_sessions",
    }
    assert {bucket for bucket in kinds if bucket.startswith("responses.")} == {
        f"responses.{digit}xx" for digit in "2345"
    }
    assert all(len(found) == 1 for found in kinds.values())
    assert not [(a, b) for a in kinds for b in kinds if b.startswith(f"{a}.")]


def test_the_prefix_is_a_setting(configuration, statsd, new_person):
    app = create_app(dataclasses.replace(configuration, statsd_prefix="test.forum"))
    new_person(app).get("/")
    assert all(line.startswith("test.forum.") for line in statsd.read())


def test_pages_work_while_nobody_listens(person, statsd):
    statsd.close()
    person.sign_up()
    person.start_thread()
    assert person.reply().status_code == 303
    assert person.get("/threads/1").status_code == 200


def test_pages_work_while_the_name_of_statsd_does_not_resolve(configuration, new_person):
    app = create_app(dataclasses.replace(configuration, statsd_host="statsd.invalid"))
    metrics = context.metrics_of(app)
    metrics.connect()
    assert not metrics.connected
    person = new_person(app)
    person.sign_up()
    person.start_thread()
    assert person.get("/threads/1").status_code == 200


@pytest.mark.parametrize("host", ["no name..at all", "x" * 300, "ü" * 70])
def test_a_name_that_cannot_be_one_is_only_silence(host):
    metrics = Metrics(host, 8125, "photoworld")
    metrics.connect()
    metrics.count("logins")
    assert not metrics.connected


def test_a_name_is_resolved_by_connect_and_not_by_a_page(configuration, statsd, new_person):
    app = create_app(dataclasses.replace(configuration, statsd_host="localhost"))
    metrics = context.metrics_of(app)
    new_person(app).get("/")
    assert not metrics.connected
    metrics.connect()
    assert metrics.connected


def test_a_datagram_that_the_kernel_refuses_is_dropped(statsd):
    metrics = Metrics("127.0.0.1", statsd.port, "x" * 70_000)
    metrics.count("logins")
    Metrics("127.0.0.1", statsd.port, "photoworld").count("logins")
    assert statsd.read() == ["photoworld.logins:1|c"]


def test_the_socket_never_waits(statsd):
    metrics = Metrics("127.0.0.1", statsd.port, "photoworld")
    assert metrics._client._sock.gettimeout() == 0


def test_statsd_may_have_an_ipv6_address():
    metrics = Metrics("::1", 8125, "photoworld")
    assert metrics.connected
    metrics.count("logins")
