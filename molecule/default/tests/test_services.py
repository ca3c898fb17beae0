"""Services: there, enabled, back after a crash, and none of them as root."""

import json

import pytest

SERVICES = [
    "carbon-cache@a",
    "carbon-c-relay",
    "graphite-web",
    "statsd",
    "photoworld",
    "photoworld-visitors",
    "nginx",
    "graphing-watchdog",
    "collectd",
]
UNITS = ["graphing.target", "graphing-firewall", "statsd.socket", "graphite-web.socket", "photoworld.socket"]


@pytest.mark.parametrize("name", SERVICES + UNITS)
def test_the_unit_runs_and_is_enabled(host, name):
    assert host.service(name).is_running
    assert host.service(name).is_enabled


def test_the_target_starts_all_that_it_stops(host):
    starts, stops = (
        set(host.check_output(f"systemctl show -P {what} graphing.target").split()) for what in ("Wants", "ConsistsOf")
    )
    assert starts == stops
    assert {"nginx.service", "carbon-c-relay.service"} <= starts


def test_what_is_enabled_runs_without_a_reboot(site):
    """Timers, sockets, paths and daemons of all packages."""
    enabled = site.enabled_units()
    assert {"nginx.service", "graphite_build_search_index.timer", "statsd.socket"} <= set(enabled)
    assert [name for name, state in enabled.items() if state == "waits"] == []


def test_nothing_has_failed(host):
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


@pytest.mark.parametrize(
    ("unit", "user"),
    [
        ("carbon-cache@a", "_graphite"),
        ("carbon-c-relay", "carbon-c-relay"),
        ("statsd", "statsd"),
        ("graphing-watchdog", "graphing-watchdog"),
    ],
)
def test_the_process_belongs_to_its_user(host, unit, user):
    pid = host.check_output("systemctl show -P MainPID %s", unit)
    assert host.check_output("stat --format=%%U /proc/%s", pid) == user


@pytest.mark.parametrize("unit", ["graphite-web", "photoworld", "photoworld-visitors"])
def test_no_process_of_the_application_is_root(host, unit):
    pid = host.check_output("systemctl show -P MainPID %s", unit)
    assert host.process.get(pid=int(pid)).user != "root"


@pytest.mark.parametrize("unit", ["carbon-cache@a", "statsd", "graphite-web"])
def test_a_killed_service_comes_back_by_itself(host, site, unit):
    before = host.check_output("systemctl show -P MainPID %s", unit)
    host.check_output("systemctl kill --signal=KILL --kill-whom=main %s", unit)
    site.until(
        lambda: (
            host.service(unit).is_running
            and host.check_output("systemctl show -P MainPID %s", unit) not in ("0", before)
        )
    )


def test_logs_are_in_the_journal_alone(host):
    assert host.run("find /var/log/carbon /var/log/graphite /var/log/nginx -type f -size +0").stdout == ""


def test_no_service_complains(host):
    journal = host.check_output(
        "journalctl --no-pager -p warning -o cat -u statsd -u graphite-web -u photoworld -u nginx"
    )
    assert "Traceback" not in journal


def test_the_aggregator_is_compiled_and_its_compiler_is_gone(host):
    log = host.check_output("journalctl -u statsd --no-pager -o cat | grep 'aggregating with' | tail -1")
    assert log == "aggregating with the compiled engine"
    assert not host.exists("cc")
    assert not host.package("python3-dev").is_installed
    assert not host.package("libc6-dev").is_installed


def test_what_the_aggregator_received_is_all_accounted_for(host, site, dropped_on_purpose):
    """Its own counts: every value of the visitors was aggregated or refused, and datagrams hold at least one each.

    But for two without any that test_security_host.py sends.
    """
    site.until(lambda: site.render("statsd.*.count"))
    series = {name.split(".")[1]: points for name, points in site.render("statsd.*.count").items()}
    # Of a flush that is on its way into carbon some may be there.
    whole = set(series["metrics"]) & set(series["packets"]) & set(series["bad_lines"])
    metrics, packets, bad = (
        sum(series[name][stamp] for stamp in whole) for name in ("metrics", "packets", "bad_lines")
    )
    assert metrics >= packets - bad - 2 > 0
    assert sum(series["kernel_drops"].values()) <= dropped_on_purpose[host.check_output("hostname")]
    assert sum(series["refused"].values()) == 0


SMALL_RUN = """
import json, os, pathlib, subprocess, time, urllib.error, urllib.request
folder = pathlib.Path("/mnt/small-run")
folder.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", folder], check=True)
config = folder / "statsd.toml"
config.write_text(f'''
[statsd]
listen = "127.0.0.1"
port = 9125
state_file = ""
datagram_log = "{folder}/datagrams"
[carbon]
journal = ""
[console]
port = 0
http_port = 9127
''')
command = ["/opt/graphing/venv/bin/graphing", "statsd", "--config", config]
aggregator = subprocess.Popen(command, stderr=subprocess.DEVNULL)
try:
    for _ in range(300):
        try:
            urllib.request.urlopen("http://127.0.0.1:9127/readyz", timeout=5)
        except urllib.error.HTTPError as answer:
            print(json.dumps([answer.code, json.load(answer)["failing"].get("log")]))
            break
        except OSError:
            time.sleep(0.1)
finally:
    aggregator.kill()
    aggregator.wait()
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()
"""


def test_an_aggregator_whose_log_has_no_room_is_not_ready(site):
    """What arrives would not survive a crash: a /run of 24 MiB is a bit too small for it."""
    status, why = json.loads(site.python(SMALL_RUN))
    assert status == 503
    assert why.startswith("/mnt/small-run/datagrams can't be made (No space left on device): a crash of")


def test_the_aggregator_is_ready(site):
    assert site.request("http://127.0.0.1:8127/readyz")["status"] == 200
