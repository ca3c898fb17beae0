"""`graphing watchdog` and `graphing doctor` as processes, beside a real aggregator; hooks that work, fail and hang."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from dataclasses import asdict

import pytest
from ports import reserve_port
from programs import DEADLINE, Program, wait_for
from support import PACKAGE, Carbon, Daemon, send, toml_text, udp_socket

from graphing.checks.settings import CheckSettings, read_settings

SOURCE = PACKAGE / "src"
EXAMPLE = PACKAGE / "checks.example.toml"
HOOK = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"


def run(*arguments, **further):
    return subprocess.run(
        [sys.executable, "-m", "graphing", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=DEADLINE * 2,
        check=False,
        **further,
    )


class Host:
    """An aggregator, whose lines go to a carbon on another host, and a watchdog."""

    def __init__(self, folder):
        self.folder = folder
        self.carbon = Carbon()
        self.inbox = udp_socket()
        self.http_port = reserve_port()
        self.hook = folder / "told"
        self.state_file = folder / "watchdog.json"
        self.log = folder / "watchdog.log"
        self.config = folder / "checks.toml"
        self.statsd = None

    def start_statsd(self):
        tables = {"console": {"http_port": self.http_port}}
        port = self.inbox.getsockname()[1]
        self.statsd = Daemon(self.folder, self.carbon.port, self.inbox, tables=tables, port=port)

    def configure(self, **watchdog):
        tables = {
            "statsd": {"config": str(self.folder / "statsd.toml")},
            "carbon": {"port": 0, "interval": 1},
            "web": {"url": "", "render": ""},
            "disk": {"paths": [str(self.folder)], "full_percent": 99.9},
            "watchdog": {
                "interval": 0.1,
                "grace": 0,
                "canary_seconds": 2,
                "state_file": str(self.state_file),
                "command": [sys.executable, "-c", HOOK, str(self.hook)],
                **watchdog,
            },
        }
        self.config.write_text(toml_text(tables))

    def start_watchdog(self, **settings):
        self.configure(**settings)
        command = [sys.executable, "-m", "graphing", "watchdog", "--config", str(self.config)]
        return Program(command, self.log, env={**os.environ, "PYTHONPATH": str(SOURCE)})

    def state(self):
        return json.loads(self.state_file.read_text()) if self.state_file.exists() else {"when": 0, "alarms": []}

    def on(self):
        return {alarm["check"] for alarm in self.state()["alarms"] if alarm["on"]}

    def looks(self, number):
        """Let so many looks pass."""
        for _ in range(number):
            before = self.state()["when"]
            wait_for(lambda before=before: self.state()["when"] > before, "a look of the watchdog")

    def reported(self):
        """Check and what of every call of the hook."""
        lines = self.hook.read_text().splitlines() if self.hook.exists() else []
        return [(said["check"], said["alarm"]) for said in map(json.loads, lines)]

    def close(self):
        self.carbon.close()
        self.inbox.close()


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    made.start_statsd()
    wait_for(lambda: made.carbon.points, "the first flush")
    yield made
    made.close()


def test_a_clean_run_has_no_alarm(host):
    host.start_watchdog()
    host.looks(40)
    assert host.on() == set()
    assert host.reported() == []
    known = {alarm["check"]: alarm["state"] for alarm in host.state()["alarms"]}
    assert known.items() >= {"event": "ok", "aggregator": "ok", "drops": "ok", "journal": "ok"}.items()
    assert "ALARM" not in host.log.read_text()
    # A reading of its own canaries is no data from others.
    assert known["data"] == "unknown"


def test_an_alarm_goes_on_and_off_and_is_told_once_each(host):
    host.start_watchdog()
    host.looks(25)
    host.statsd.kill()
    wait_for(lambda: host.on() == {"event", "aggregator"}, host.on)
    host.looks(10)
    wait_for(lambda: sorted(host.reported()) == [("aggregator", "on"), ("event", "on")], host.reported)
    host.start_statsd()
    wait_for(lambda: not host.on(), host.on)
    host.looks(10)
    wait_for(lambda: len(host.reported()) == 4, host.reported)
    assert sorted(host.reported()[2:]) == [("aggregator", "off"), ("event", "off")]
    log = host.log.read_text()
    assert len(re.findall("ALARM aggregator: no /statusz on 127.0.0.1 port", log)) == 1
    assert len(re.findall(r"well again: aggregator: the aggregator is ready", log)) == 1


def test_carbon_away_and_a_closed_socket_are_alarms(host):
    host.start_watchdog()
    host.looks(25)
    host.carbon.close()
    wait_for(lambda: "aggregator" in host.on() and "event" in host.on(), host.on)
    event = next(alarm for alarm in host.state()["alarms"] if alarm["check"] == "event")
    assert f"stops at relay: 127.0.0.1 port {host.carbon.port}" in event["what"]
    host.carbon = Carbon(host.carbon.port)
    wait_for(lambda: not host.on(), host.on)
    host.inbox.close()
    host.statsd.kill()
    wait_for(lambda: "event" in host.on(), host.on)
    event = next(alarm for alarm in host.state()["alarms"] if alarm["check"] == "event")
    assert "stops at socket: nobody listens on" in event["what"]


def test_the_next_watchdog_does_not_tell_again(host):
    first = host.start_watchdog()
    host.looks(25)
    host.statsd.kill()
    wait_for(lambda: len(host.reported()) == 2, host.reported)
    first.stop()
    host.start_watchdog()
    host.looks(30)
    assert host.on() == {"event", "aggregator"}
    assert len(host.reported()) == 2


def test_nothing_is_an_alarm_during_the_grace(host):
    host.statsd.kill()
    host.start_watchdog(grace=3600)
    host.looks(30)
    assert host.on() == set()


def test_a_hook_that_hangs_delays_no_look(host):
    host.start_watchdog(command=[sys.executable, "-c", "import time; time.sleep(3600)"])
    host.looks(25)
    host.statsd.kill()
    wait_for(host.on, host.on)
    host.looks(30)


class Webhook:
    """Takes posts; answers with a code."""

    def __init__(self, code=200):
        self.posts = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(code)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.parametrize("code", [200, 500])
def test_a_webhook_gets_each_change_once_and_its_failure_is_logged_once(host, code):
    webhook = Webhook(code)
    host.start_watchdog(webhook=webhook.url, command=[])
    host.looks(25)
    host.statsd.kill()
    wait_for(lambda: len(webhook.posts) == 2, lambda: webhook.posts)
    host.start_statsd()
    wait_for(lambda: len(webhook.posts) == 4, lambda: webhook.posts)
    host.looks(10)
    webhook.close()
    assert sorted((said["check"], said["alarm"]) for said in webhook.posts) == [
        ("aggregator", "off"),
        ("aggregator", "on"),
        ("event", "off"),
        ("event", "on"),
    ]
    assert all(said["text"].startswith(f"{said['host']}: {said['check']} is ") for said in webhook.posts)
    assert host.log.read_text().count("the webhook fails") == (code != 200)


# The doctor


def doctor(host, *options):
    return run("doctor", "--config", str(host.config), *options)


def test_the_doctor_calls_a_healthy_host_well(host):
    host.start_watchdog()
    host.looks(3)
    found = doctor(host)
    assert found.returncode == 0, found.stdout
    assert "ok       event" in found.stdout
    *lines, _, last = found.stdout.splitlines()
    # As this machine has it: a clock that nobody keeps, no systemd.
    unknown = [line.split()[1] for line in lines if line.startswith("unknown")]
    well = len(lines) - len(unknown)
    untold = f"{well} checks are well, {len(unknown)} unknown: {', '.join(unknown)}."
    assert last == (untold if unknown else f"All {well} checks are well.")
    # Too early for the watchdog's first one.
    assert re.search(r"no alarm is on; it has no answer for .*event", found.stdout)
    said = json.loads(doctor(host, "--json").stdout)
    assert said["status"] == 0
    assert {"event", "aggregator", "journal", "drops", "watchdog"} <= {each["check"] for each in said["checks"]}


def test_the_doctor_misses_the_watchdog(host):
    host.configure()
    found = doctor(host)
    assert found.returncode == 1
    assert "warning  watchdog" in found.stdout
    assert "systemctl restart graphing-watchdog" in found.stdout
    assert "1 of " in found.stdout


def test_the_doctor_names_the_hop(host):
    host.configure()
    host.statsd.kill()
    found = doctor(host)
    assert found.returncode == 2
    assert re.match("failed   aggregator +no /statusz on 127.0.0.1 port", found.stdout), "the cause is the first line"
    assert "stops at aggregator: no /statusz on 127.0.0.1 port" in found.stdout
    assert "-> systemctl restart statsd" in found.stdout
    host.inbox.close()
    assert "stops at socket: nobody listens on" in doctor(host).stdout


def test_the_doctor_says_that_a_crash_would_lose_something(host):
    host.statsd.stop()
    (host.folder / "datagrams.new").mkdir()
    host.start_statsd()
    wait_for(lambda: "can't be made" in host.statsd.text(), host.statsd.text)
    host.start_watchdog()
    wait_for(lambda: "aggregator" in host.on(), host.on)
    host.configure()
    found = doctor(host)
    assert found.returncode == 2
    assert re.match(r"failed   aggregator +the aggregator is not ready: log: \S+/datagrams can't be made", found.stdout)
    assert "-> Free space on /run" in found.stdout
    assert "failed   event" not in found.stdout, "numbers come through all the same"


def test_the_doctor_and_the_watchdog_name_who_is_refused_until_it_is_over(host):
    host.start_watchdog()
    host.looks(25)
    assert host.on() == set()
    send(host.inbox, *[b"nobody.s.line:x|c"] * 150)
    wait_for(lambda: host.on() == {"refused"}, host.on)
    host.configure()
    found = doctor(host)
    assert found.returncode == 1
    assert re.match(r"warning  refused +the aggregator has refused 150 of .* 'nobody\.s\.line' 150 times", found.stdout)
    assert "-> Correct the sender's lines" in found.stdout
    # Those that are good make them few.
    send(host.inbox, b"\n".join([b"good:1|c"] * 2000), *[b"\n".join([b"good:1|c"] * 2000)] * 9)
    wait_for(lambda: not host.on(), host.on)
    wait_for(lambda: sorted(host.reported()) == [("refused", "off"), ("refused", "on")], host.reported)


# Bad input


@pytest.mark.parametrize("command", ["doctor", "watchdog"])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[watchdog]\ninterval = 0", "watchdog.interval = 0: must be from 0.1 to 60 seconds"),
        ("[watchdog]\ncanary_seconds = 5", "watchdog.canary_seconds = 5: must be at least 20, twice carbon.interval"),
        ('[watchdog]\nwebhook = "ftp://x"', "watchdog.webhook = 'ftp://x': must begin with http:// or https://"),
        ('[web]\nrender = "/run/x.sock"', "web.render = '/run/x.sock': must be unix:PATH or http://HOST:PORT"),
        ('[statsd]\nconfig = "/no/such.toml"', "/no/such.toml: can't be read: No such file or directory"),
        ('[carbon]\ncaches = [{nme = "a"}]', "carbon.caches = [{'nme': 'a'}]: must be tables"),
        ('[disk]\npaths = ["here"]', "disk.paths = ['here']: must be an absolute path"),
        ("[dsk]\nx = 1", "dsk"),
    ],
)
def test_bad_settings_are_named(tmp_path, command, text, complaint):
    config = tmp_path / "checks.toml"
    config.write_text(text + "\n")
    found = run(command, "--config", str(config))
    assert found.returncode == 2
    assert complaint in found.stderr
    assert "Traceback" not in found.stderr


def test_the_example_holds_every_key_with_its_default():
    assert read_settings(EXAMPLE) == CheckSettings()
    written = tomllib.loads(EXAMPLE.read_text())
    assert {table: set(keys) for table, keys in written.items()} == {
        table: set(keys) for table, keys in asdict(CheckSettings()).items()
    }


def test_settings_can_be_checked(tmp_path):
    config = tmp_path / "checks.toml"
    config.write_text("")
    assert run("watchdog", "--check", "--config", str(config)).stdout == f"{config}: ok\n"
