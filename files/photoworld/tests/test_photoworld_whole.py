"""The forum as it runs: gunicorn, several workers, simulated visitors, and a StatsD that adds up."""

import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, contextmanager

import httpx
import pytest
from programs import Program, wait_for


@contextmanager
def serve(tmp_path, statsd, **environ):
    """Run `photoworld serve` on a Unix socket; end it as systemd would."""
    path = tmp_path / "forum.sock"
    settings = {
        "PHOTOWORLD_SECRET_KEY": "k" * 32,
        "PHOTOWORLD_DATABASE": str(tmp_path / "forum.sqlite3"),
        "PHOTOWORLD_BIND": f"unix:{path}",
        "PHOTOWORLD_STATSD_PORT": str(statsd.port),
        "HOME": str(tmp_path / "home"),
    }
    command = [sys.executable, "-m", "photoworld", "serve"]
    server = Program(command, tmp_path / "serve.log", env=os.environ | settings | environ)
    yield path
    server.stop()


def is_up(path):
    if not path.exists():
        return False
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        try:
            return client.get("http://photoworld/healthz").status_code == 200
        except httpx.TransportError:
            return False


def simulate(path, **options):
    """Let visitors come in a hurry, in one wave."""
    options = {"duration": 5, "period": 5, "rate": 30, "think": 0.02} | options
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return subprocess.run(
        [sys.executable, "-m", "photoworld", "simulate", f"--url=unix:{path}", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def totals(lines):
    """Add up the lines as StatsD does."""
    counters: Counter[str] = Counter()
    values: dict[str, list[float]] = {}
    members: dict[str, set[str]] = {}
    for line in lines:
        bucket, value, kind = re.fullmatch(r"photoworld\.([^:]+):([^|]+)\|(c|ms|g|s)", line).groups()
        if kind == "c":
            counters[bucket] += int(value)
        elif kind == "s":
            members.setdefault(bucket, set()).add(value)
        else:
            values.setdefault(bucket, []).append(float(value))
    return counters, values, members


EVERYTHING = {"front", "login", "logout", "new_thread", "reply", "signup", "thread"}
"""The kinds of requests that visitors send."""


def visit_until_all_has_happened(path, statsd):
    """Let waves come until visitors have done everything, mistyped a password too; how many visits and requests.

    What happens in a wave depends on how fast the machine is: on one that is busy, somebody comes back to mistype a
    password only in a long one.
    """
    visits = requests = 0
    for seed in range(1, 9):
        result = simulate(path, seed=seed, accounts=6, duration=5 * seed, period=5 * seed)
        assert result.returncode == 0, result.stderr
        here, sent, _ = map(int, re.findall(r"\d+", result.stderr.splitlines()[-1]))
        visits, requests = visits + here, requests + sent
        statsd.read()
        counters, values, _ = totals(statsd.lines)
        if counters["logins_failed"] and values.keys() >= {f"request.{kind}" for kind in EVERYTHING}:
            return visits, requests
    pytest.fail(f"in {visits} visits not everything has happened: {sorted(counters)}")


def test_every_number_comes_from_something_that_happened(tmp_path, statsd):
    with serve(tmp_path, statsd) as path:
        wait_for(lambda: is_up(path), "the forum answers")
        statsd.read()
        statsd.lines.clear()
        visits, requests = visit_until_all_has_happened(path, statsd)
        with closing(sqlite3.connect(tmp_path / "forum.sqlite3")) as database:
            (sessions,) = database.execute("SELECT count(*) FROM presence").fetchone()
        statsd.wait_for(f"photoworld.active_sessions:{sessions}|g")
    statsd.read()
    counters, values, members = totals(statsd.lines)

    with closing(sqlite3.connect(tmp_path / "forum.sqlite3")) as database:

        def one(query):
            return database.execute(query).fetchone()[0]

        assert counters["signups"] == one("SELECT count(*) FROM member") > 0
        assert counters["logins"] == one("SELECT sum(logins) FROM member") > 0
        assert counters["threads"] == one("SELECT count(*) FROM thread") > 0
        assert counters["replies"] == one("SELECT count(*) FROM post") - counters["threads"] > 0
        assert counters["views"] == one("SELECT sum(views) FROM thread") > 0
        lengths = [row[0] for row in database.execute("SELECT count(*) FROM post GROUP BY thread_id")]
    assert Counter(values["thread_length"]) == Counter(n for posts in lengths for n in range(1, posts + 1))

    assert len(members["visitors"]) == visits
    timed = {bucket: len(found) for bucket, found in values.items() if bucket.startswith("request.")}
    answered = {bucket: count for bucket, count in counters.items() if bucket.startswith("responses.")}
    assert sum(timed.values()) == sum(answered.values()) == requests
    assert "responses.5xx" not in answered
    # The visitors break no rule: all that is ever refused is a wrong password.
    assert answered["responses.4xx"] == counters["logins_failed"]
    assert {bucket.removeprefix("request.") for bucket in timed} == EVERYTHING


def test_a_second_run_finds_its_accounts_again(tmp_path, statsd):
    with serve(tmp_path, statsd) as path:
        wait_for(lambda: is_up(path), "the forum answers")
        assert simulate(path, seed="again", accounts=2).returncode == 0
        counters, _, _ = totals(statsd.read())
        assert counters["signups"] == 2
        assert simulate(path, seed="again", accounts=2).returncode == 0
        counters, _, _ = totals(statsd.read())
        assert counters["signups"] == 0
        assert counters["logins"] > 0


@pytest.mark.parametrize(("behind_proxy", "statuses"), [("1", [200, 200, 200]), ("0", [414, 431, 431])])
def test_a_proxy_is_what_bounds_requests_where_there_is_one(tmp_path, statsd, behind_proxy, statuses):
    transport = httpx.HTTPTransport(uds=str(tmp_path / "forum.sock"))
    headers = {f"X-{number}": "a" for number in range(200)}
    with (
        serve(tmp_path, statsd, PHOTOWORLD_BEHIND_PROXY=behind_proxy) as path,
        httpx.Client(transport=transport) as client,
    ):
        wait_for(lambda: is_up(path), "the forum answers")
        answers = [
            client.get(f"http://photoworld/?{'a' * 20_000}"),
            client.get("http://photoworld/", headers={"X-Long": "a" * 20_000}),
            client.get("http://photoworld/", headers=headers),
        ]
    assert [answer.status_code for answer in answers] == statuses


def test_the_gauge_is_sent_without_any_visitor(tmp_path, statsd):
    with serve(tmp_path, statsd):
        statsd.wait_for("photoworld.active_sessions:0|g")


def test_workers_resolve_the_name_of_statsd_themselves(tmp_path, statsd):
    with serve(tmp_path, statsd, PHOTOWORLD_STATSD_HOST="localhost"):
        statsd.wait_for("photoworld.active_sessions:0|g")


def test_the_forum_serves_while_the_name_of_statsd_does_not_resolve(tmp_path, statsd):
    with serve(tmp_path, statsd, PHOTOWORLD_STATSD_HOST="statsd.invalid") as path:
        wait_for(lambda: is_up(path), "the forum answers")
        wait_for(
            lambda: (tmp_path / "serve.log").read_text().count("statsd.invalid does not resolve") == 2,
            "both workers say so",
        )
    assert statsd.read() == []


def test_serving_writes_nothing_but_the_database(tmp_path, statsd):
    with serve(tmp_path, statsd) as path:
        wait_for(lambda: is_up(path), "the forum answers")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["forum.sqlite3", "serve.log"]


# What systemd does for a service with a socket unit: the listening socket becomes descriptor 3.
ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "photoworld", "serve"])
"""


def test_a_socket_from_systemd_is_used_and_its_queue_is_served(tmp_path, statsd):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as early:
            early.sendall(b"GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n")
            environ = {
                "PHOTOWORLD_SECRET_KEY": "k" * 32,
                "PHOTOWORLD_DATABASE": str(tmp_path / "forum.sqlite3"),
                "PHOTOWORLD_BIND": "unix:/nonexistent/ignored.sock",
                "PHOTOWORLD_STATSD_PORT": str(statsd.port),
            }
            server = Program(
                [sys.executable, "-c", ACTIVATED, str(listening.fileno())],
                tmp_path / "log",
                env=os.environ | environ,
                pass_fds=[listening.fileno()],
            )
            wait_for(lambda: select.select([early], [], [], 0)[0], "an answer")
            answer = early.makefile("rb").read()
            server.stop()
    assert answer.startswith(b"HTTP/1.0 200 OK")
    assert answer.endswith(b"ok\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_simulated_visitors_go_home_when_told(tmp_path, statsd, number):
    with serve(tmp_path, statsd) as path:
        wait_for(lambda: is_up(path), "the forum answers")
        visitors = Program(
            [sys.executable, "-m", "photoworld", "simulate", "--url", f"unix:{path}", "--rate", "100"],
            tmp_path / "simulate.log",
        )
        wait_for(lambda: any(".request.front" in line for line in statsd.read()), "somebody opens the front page")
        visitors.stop(number)
        assert "Traceback" not in visitors.text()
