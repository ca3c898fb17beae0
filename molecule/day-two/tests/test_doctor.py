"""`graphing doctor`, its playbook and the watchdog, on a host on which things are stopped and started again."""

import json
import re
import shlex

import pytest
from playbook import run_playbook

GRAPHING = "/opt/graphing/venv/bin/graphing"
CONFIG = "/etc/graphing/checks.toml"
STATE = "/run/graphing-watchdog/watchdog.json"
TOLD = "/run/graphing-watchdog/told"

READ_BOTH_WAYS = """
import json, sys, time
sys.path.append("/usr/lib/python3/dist-packages")
import whisper
from pathlib import Path
from graphing.whisperfile.slots import newest
path, now = sys.argv[1], int(time.time())
(start, end, step), values = whisper.fetch(path, now - 600, now)
theirs = {stamp: value for stamp, value in zip(range(start, end, step), values) if value is not None}
ours = newest(Path(path), start, end - step)
print(json.dumps([theirs, ours]))
"""


def doctor(host, *options):
    """Exit status, and the checks by name."""
    run = host.run(shlex.join([GRAPHING, "doctor", "--json", *options]))
    assert run.stderr == ""
    said = json.loads(run.stdout)
    assert said["status"] == run.rc
    return run.rc, {each["check"]: each for each in said["checks"]}


@pytest.fixture
def well(host, site):
    """A host on which nothing has failed, before and after."""
    site.until(lambda: doctor(host)[0] != 2)
    yield
    site.until(lambda: doctor(host)[0] != 2)


@pytest.fixture
def stopped(host, well):
    """Stop units; they are started again after the test."""
    names = []

    def stop(*units):
        names.extend(units)
        host.check_output("systemctl stop " + " ".join(units))

    yield stop
    host.check_output("systemctl start " + " ".join(names))


@pytest.fixture
def changed(host):
    """A copy of the settings with some lines replaced."""
    path = "/run/checks-of-a-test.toml"

    def change(**values):
        edits = [f"-e 's|^{key} = .*|{key} = {value}|'" for key, value in values.items()]
        host.check_output(f"sed {' '.join(edits)} {CONFIG} > {path}")
        return path

    yield change
    host.check_output(f"rm -f {path}")


def alarms(site):
    return {each["check"]: each for each in json.loads(site.host.check_output(f"cat {STATE}"))["alarms"]}


def test_a_healthy_host_is_well(host, site):
    # An alarm of an earlier test may still be on.
    site.until(lambda: doctor(host)[0] == 0, seconds=300)
    status, checks = doctor(host)
    assert status == 0
    assert {"event", "line", "services", "aggregator", "journal", "drops", "cache a", "creates a"} <= checks.keys()
    assert {name for name, each in checks.items() if each["state"] not in ("ok", "unknown")} == set()
    assert "graph" in checks["event"]["what"]
    assert "graph" in checks["line"]["what"]


def test_the_proof_of_the_playbooks_is_of_three_checks(host, site):
    status, checks = doctor(host, "--only", "event", "--only", "line", "--only", "web", "--wait", "60")
    assert status == 0
    assert checks.keys() == {"event", "line", "web"}


def test_a_canary_is_the_time_at_which_it_was_sent(host, site):
    before = float(host.check_output("date +%s.%N"))
    doctor(host)
    for series in ("stats.graphing.canary.event", "graphing.canary.line"):
        newest = max(site.render(series)[series].values())
        # The watchdog sends its own meanwhile.
        assert before <= newest <= float(host.check_output("date +%s.%N"))


def test_the_watchdog_sees_the_same_though_it_is_not_root(host, site):
    assert host.check_output("systemctl show -P User graphing-watchdog") == "graphing-watchdog"
    site.until(lambda: alarms(site).get("event", {}).get("state") == "ok", seconds=240)
    seen = alarms(site)
    assert {seen[check]["state"] for check in ("event", "line", "services", "aggregator", "cache a")} == {"ok"}


def test_the_files_are_read_as_whisper_reads_them(host):
    path = "/var/lib/graphite/whisper/graphing/canary/line.wsp"
    command = f"/opt/graphing/venv/bin/python -c {shlex.quote(READ_BOTH_WAYS)} {path}"
    theirs, ours = json.loads(host.check_output(command))
    assert theirs
    assert ours == theirs


CARBON = ("stops at carbon: carbon-cache@a: port 7002: Connection refused", "systemctl restart carbon-cache@a")


@pytest.mark.parametrize(
    ("units", "stops"),
    [
        ("carbon-cache@a", {"event": CARBON, "line": CARBON}),
        (
            "carbon-c-relay",
            {"line": ("stops at relay: nothing listens for lines on 127.0.0.1 port 2003", "carbon-c-relay")},
        ),
        ("statsd.socket statsd", {"event": ("stops at socket: nobody listens on 8125/udp", "start statsd.socket")}),
        ("nginx", {"web": ("Connection refused", "systemctl restart nginx")}),
        ("graphite-web.socket graphite-web", {"line": ("stops at render: /render at unix:", "restart graphite-web")}),
    ],
)
def test_a_stopped_service_is_the_hop_that_is_named(host, stopped, units, stops):
    stopped(*units.split())
    status, checks = doctor(host)
    assert status == 2
    for check, (what, remedy) in stops.items():
        assert what in checks[check]["what"]
        assert remedy in checks[check]["remedy"]
    assert units.split()[0] in checks["services"]["what"]


def test_the_disk_and_the_certificate_are_measured(host, changed):
    certificate = "/run/certificate-of-a-test.pem"
    host.check_output(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null "
        f"-subj /CN=test -days 10 -out {certificate}"
    )
    path = changed(full_percent="0.001", file=f'"{certificate}"')
    status, checks = doctor(host, "--config", path)
    host.check_output(f"rm {certificate}")
    assert status == 2
    assert any(name.startswith("disk /") and "is full" in each["what"] for name, each in checks.items())
    assert checks["certificate"]["state"] == "warning"
    assert f"{certificate} ends in 10 days" in checks["certificate"]["what"]


def test_the_playbook_calls_it_well(well, inventory):
    for options in ((), ("--check",)):
        run = run_playbook("doctor", inventory, *options)
        assert run.status == 0, run.output
        assert "a number sent to 8125/udp is in the graph" in run.words
        # A container's clock is the host's: nobody here can tell.
        assert re.search(r"[0-9]+ (of [0-9]+ )?checks .*, [0-9]+ unknown: .*clock", run.words)


def test_the_playbook_fails_with_a_sentence(host, stopped, inventory):
    stopped("carbon-cache@a")
    run = run_playbook("doctor", inventory)
    assert run.status == 2
    # The cause comes first, then what follows from it.
    assert re.search(r"needs help: services carbon-cache@a\S* is inactive", run.words), run.output
    assert "-> systemctl start carbon-cache@a" in run.words


def test_the_playbook_refuses_a_host_that_is_not_a_graphing_server(host, inventory):
    host.check_output(f"mv {CONFIG} {CONFIG}.away")
    try:
        run = run_playbook("doctor", inventory)
    finally:
        host.check_output(f"mv {CONFIG}.away {CONFIG}")
    assert run.status == 2
    assert "is not a graphing server, or has an older release" in run.words


@pytest.fixture
def hook(host):
    """A command of the watchdog that writes down what it is told."""
    command = f'command = ["/bin/sh", "-c", "cat >> {TOLD}"]'
    host.check_output(f"cp --preserve {CONFIG} {CONFIG}.before")
    host.check_output(f"sed -i {shlex.quote(f's|^command = .*|{command}|')} {CONFIG}")
    host.check_output("systemctl restart graphing-watchdog")
    yield
    host.check_output(f"mv {CONFIG}.before {CONFIG} && rm -f {TOLD}")
    host.check_output("systemctl restart graphing-watchdog")


def told(host):
    """Check and on or off of each call of the hook."""
    run = host.run(f"cat {TOLD}")
    return [(said["check"], said["alarm"]) for said in map(json.loads, run.stdout.splitlines())]


def test_an_alarm_goes_on_within_three_minutes_and_off_within_five(host, site, hook, well):
    site.until(lambda: not any(each["on"] for each in alarms(site).values()), seconds=300)
    expected = {"event", "line", "services"}
    began = host.check_output("date +%s")
    host.check_output("systemctl stop carbon-cache@a")
    try:
        site.until(lambda: expected <= {name for name, each in alarms(site).items() if each["on"]}, seconds=180)
        assert "stops at carbon: carbon-cache@a" in alarms(site)["event"]["what"]
    finally:
        host.check_output("systemctl start carbon-cache@a")
    site.until(lambda: not any(each["on"] for each in alarms(site).values()), seconds=300)
    changes = told(host)
    for check in expected:
        assert [way for name, way in changes if name == check] == ["on", "off"]
    journal = host.check_output("journalctl -u graphing-watchdog --no-pager -o cat --since=@" + began)
    assert journal.count("ALARM services: carbon-cache@a.service is inactive (dead)") == 1
    assert journal.count("well again: services: ") == 1
