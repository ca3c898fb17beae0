"""Faults of the host as a whole, and work on it while numbers come in."""

import subprocess
import time
from typing import Any

import pytest
from playbook import run_playbook
from verdict import rendered

SERVICES = "systemctl list-units --state=active --type=service,socket --plain --no-legend"
OURS = "'carbon*' 'graph*' 'statsd*' 'nginx*' 'collectd*' 'photoworld*'"


def container(host):
    """The container that the host is; nothing else is booted by a test."""
    name = host.backend.get_hostname()
    found = subprocess.run(["docker", "inspect", name], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"{name} is no container of this computer")
    return name


def running(host):
    """The units of the platform that run, but for the senders that a calm host has not."""
    units = host.run(f"{SERVICES} {OURS}").stdout.splitlines()
    return {unit.split()[0] for unit in units}


def live(site, ledger):
    """The timestamps of intervals in which events came."""
    series = rendered(site, ledger).counts.values()
    return {stamp for points in series for stamp, value in points.items() if value}


@pytest.mark.row("R12", "the host is rebooted")
def test_r12_reboot(trial, host):
    site, name = trial.site, container(host)
    before = running(host)
    with trial.oracle() as first:
        time.sleep(12 + trial.random.uniform(0, 10))
    down = time.monotonic()
    subprocess.run(["docker", "restart", "--time=90", name], check=True, capture_output=True)
    site.until(lambda: before <= running(host))
    away = time.monotonic() - down
    with trial.oracle(name=f"{trial.name}.after") as second:
        time.sleep(12)
    trial.result.at_risk = f"{first.ledger.event_count:,} events and the interval in progress; away for {away:.0f} s"
    # The visitors are back too, so the aggregator's counters are not the oracle's alone.
    trial.compare(second.ledger)
    trial.compare(first.ledger)
    assert min(live(site, second.ledger)) - max(live(site, first.ledger)) <= away + 2 * site.interval, (
        "the gap is longer than the outage"
    )


@pytest.mark.row("R13", "the playbook runs under load: with changes, without them again, with nothing to do")
def test_r13_playbook_again(trial, inventory):
    changes: dict[str, Any] = {"carbon_updates_per_second": 4999, "statsd_max_values": 99999}
    with trial.oracle(seconds=3600) as oracle:
        runs = [run_playbook("site", inventory, **given) for given in (changes, {}, {})]
    for run in runs:
        assert run.status == 0, run.output[-3000:]
    assert "changed=0" not in runs[0].words, "nothing was restarted"
    ledger = oracle.ledger
    trial.result.at_risk = f"{ledger.event_count:,} events and {ledger.line_count:,} lines during {len(runs)} runs"
    # The playbook has started the visitors.
    trial.compare(ledger)
    assert "changed=0" in runs[2].words, runs[2].output[-2000:]
