"""Services: there, enabled, back after a crash, and none of them as root."""

import pytest

SERVICES = [
    "carbon-cache@a",
    "carbon-c-relay",
    "graphite-web",
    "statsd",
    "photoworld",
    "photoworld-visitors",
    "nginx",
    "collectd",
]
UNITS = ["graphing.target", "graphing-firewall", "statsd.socket", "graphite-web.socket", "photoworld.socket"]


@pytest.mark.parametrize("name", SERVICES + UNITS)
def test_the_unit_runs_and_is_enabled(host, name):
    assert host.service(name).is_running
    assert host.service(name).is_enabled


def test_nothing_has_failed(host):
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


@pytest.mark.parametrize(
    ("process", "user"),
    [
        ("carbon-cache", "_graphite"),
        ("carbon-c-relay", "carbon-c-relay"),
        ("graphing", "statsd"),
    ],
)
def test_the_process_belongs_to_its_user(host, process, user):
    assert {found.user for found in host.process.filter(comm=process)} == {user}


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
