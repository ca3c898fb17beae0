"""`graphing doctor --only CHECK --wait SECONDS`, and the doctor of a page whose numbers are kept elsewhere."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time

import pytest
from ports import reserve_port
from programs import DEADLINE, wait_for
from support import PACKAGE, Carbon, Daemon, send, toml_text, udp_socket

from graphing.checks import canary
from graphing.checks.verdict import KINDS

SOURCE = PACKAGE / "src"
CANARY = "stats.graphing.canary.event"


class Host:
    """An aggregator whose lines go to a carbon on another host; its watchdog does not run."""

    def __init__(self, folder):
        self.folder = folder
        self.carbon = Carbon()
        self.inbox = udp_socket()
        self.tables = {"console": {"http_port": reserve_port()}}
        self.config = folder / "checks.toml"
        self.statsd = None

    def start(self):
        port = self.inbox.getsockname()[1]
        self.statsd = Daemon(self.folder, self.carbon.port, self.inbox, tables=self.tables, port=port)

    def configure(self, **tables):
        common = {
            "statsd": {"config": ""},
            "carbon": {"port": 0, "interval": 1},
            "web": {"url": "", "render": ""},
            "disk": {"paths": [str(self.folder)], "full_percent": 99.9},
            "watchdog": {"canary_seconds": 20, "state_file": str(self.folder / "none.json")},
        }
        self.config.write_text(toml_text(common | tables))

    def doctor(self, *options):
        return subprocess.run(
            [sys.executable, "-m", "graphing", "doctor", "--config", str(self.config), *options],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            capture_output=True,
            text=True,
            timeout=DEADLINE * 2,
            check=False,
        )

    def canaries(self):
        return [name for name, _ in self.carbon.points if name == CANARY]


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    made.configure(statsd={"config": str(tmp_path / "statsd.toml")})
    made.start()
    wait_for(lambda: made.carbon.points, "the first flush")
    yield made
    made.carbon.close()
    made.inbox.close()


def checks(run):
    """{check: state} of what was found."""
    return {each["check"]: each["state"] for each in json.loads(run.stdout)["checks"]}


# Only


def test_it_says_what_it_is_asked_for_alone(host):
    run = host.doctor("--json", "--only", "event", "--only", "journal")
    assert checks(run) == {"event": "ok", "journal": "ok"}
    # Of all there is a warning: the watchdog does not run.
    assert run.returncode == 0
    assert host.doctor().returncode == 1


def test_a_kind_of_checks_has_all_of_its_name(host):
    found = checks(host.doctor("--json", "--only", "disk"))
    assert found.keys() == {f"disk {host.folder}"}


def test_a_number_is_sent_if_its_way_is_asked_for(host):
    host.doctor("--only", "journal")
    # What is sent next over the same socket comes with the same flush, or with a later one.
    send(host.inbox, b"marker:1|c")
    wait_for(lambda: host.carbon.series("stats.marker.count"), "what was sent after the look")
    assert host.canaries() == []
    host.doctor("--only", "event")
    wait_for(host.canaries, "the canary")


def test_a_failure_elsewhere_is_no_matter(host):
    host.statsd.kill()
    assert host.doctor("--only", "disk").returncode == 0
    assert host.doctor("--only", "event").returncode == 2


def test_a_check_that_this_host_has_not_is_not_called_well(host):
    run = host.doctor("--only", "line", "--only", "web")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "This host has no check line or web.\n"


def test_a_check_that_there_is_not_is_refused_with_those_that_there_are(host):
    run = host.doctor("--only", "canary")
    assert run.returncode == 2
    assert "argument --only: invalid choice: 'canary'" in run.stderr
    assert all(kind in run.stderr for kind in KINDS)


# Wait


def test_it_waits_until_all_is_well(host):
    host.statsd.kill()
    started = threading.Timer(7.0, host.start)
    started.start()
    run = host.doctor("--only", "event", "--wait", "60")
    started.join()
    assert run.returncode == 0, run.stdout
    assert "ok       event" in run.stdout
    assert "stops at" not in run.stdout, "it says what was found last"


def test_it_says_why_it_waited_in_vain(host):
    host.statsd.kill()
    before = time.monotonic()
    run = host.doctor("--only", "event", "--wait", "8")
    assert time.monotonic() - before >= 8
    assert run.returncode == 2
    assert "stops at aggregator" in run.stdout


def test_it_does_not_wait_where_all_is_well(host):
    before = time.monotonic()
    assert host.doctor("--only", "event", "--wait", "3600").returncode == 0
    assert time.monotonic() - before < DEADLINE


@pytest.mark.parametrize("seconds", ["-1", "soon", "nan", "86401"])
def test_a_wait_is_a_number_of_seconds(host, seconds):
    run = host.doctor(f"--wait={seconds}")
    assert run.returncode == 2
    assert f"argument --wait: '{seconds}' is not a number of seconds from 0 to 86400" in run.stderr


# A page whose numbers are kept elsewhere


class Page:
    """A web application that draws what another host keeps: for each series that it knows, its newest value."""

    def __init__(self):
        self.newest = {}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.render = f"http://127.0.0.1:{self.server.server_port}"

    def _handler(page):  # noqa: N805 - `self` is the request
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                found = [{"target": name, "datapoints": [[value(), 1]]} for name, value in page.newest.items()]
                body = json.dumps(found).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler


@pytest.fixture
def page():
    made = Page()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_page_alone_draws_what_the_watchdog_of_the_store_has_sent(tmp_path, page):
    host = Host(tmp_path)
    host.configure(web={"url": "", "render": page.render})
    page.newest[canary.LINE] = lambda: time.time() - 15
    run = host.doctor("--only", "event", "--only", "line")
    assert run.returncode == 0
    assert "a number sent to the host that keeps the numbers is in the graph, 15 s after it was sent" in run.stdout


def test_a_page_alone_says_that_the_store_sends_nothing(tmp_path, page):
    host = Host(tmp_path)
    host.configure(web={"url": "", "render": page.render})
    page.newest[canary.LINE] = lambda: time.time() - 30
    run = host.doctor("--only", "line")
    assert run.returncode == 2
    assert "stops at store: the answer of /render does not contain it" in run.stdout
    assert "-> Run playbooks/doctor.yml, which asks the host that keeps the numbers too." in run.stdout


def test_an_aggregator_beside_a_page_is_followed_through_the_store(host, page):
    host.configure(statsd={"config": str(host.folder / "statsd.toml")}, web={"url": "", "render": page.render})
    page.newest[canary.LINE] = time.time
    page.newest[CANARY] = lambda: max(
        (value for (name, _), value in list(host.carbon.points.items()) if name == CANARY), default=0.0
    )
    run = host.doctor("--json", "--only", "event", "--only", "line")
    assert checks(run) == {"event": "ok", "line": "ok"}
    page.newest[CANARY] = lambda: 1.0
    run = host.doctor("--only", "event")
    assert run.returncode == 2
    assert "stops at store" in run.stdout
