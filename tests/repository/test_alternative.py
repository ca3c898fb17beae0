"""The scenario `alternative` sets every variable of every role to something other than its default."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SET = yaml.safe_load((ROOT / "molecule/alternative/inventory/group_vars/graphing.yml").read_text())

# Those of python_app are set by the roles that include it; those of backup are tried in scenario day-two.
ELSEWHERE = ("python_app", "backup")
HANDED_OVER = "playbooks/vars/platform.yml sets it, from what the roles hand over"
EXCEPTIONS = {
    "carbon_interval": "derived from carbon_retentions; preflight refuses another",
    "statsd_flush_interval": "derived from carbon_retentions; preflight refuses another",
    "host_firewall": "without it the networks of all roles have no effect; the test host of `make up` is without",
    "host_metrics": "without them host_metrics_name has no effect",
    "host_private_users": "containers refuse user namespaces (status 217/USER)",
    "carbon_guard": "without it carbon_disk_reserve and carbon_future_seconds have no effect",
    "carbon_data_device": "a block device; scenario ec2 has one",
    "graphite_web_store_port": "where store and web page are on two hosts: scenario ssh",
    "statsd_network_namespaces": "a namespace of the computer around the container: scenario default",
    "host_address": "where there are several hosts: scenario ssh",
    "host_packages": HANDED_OVER,
    "host_places": HANDED_OVER,
    "host_ports": HANDED_OVER,
    "nginx_sites": HANDED_OVER,
    "watchdog_after": HANDED_OVER,
    "watchdog_disks": HANDED_OVER,
    "watchdog_groups": HANDED_OVER,
}


def options():
    """Role, variable, and the default as it is written, of every variable of every role."""
    for specs in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        role = specs.parents[1]
        file = role / "defaults/main.yml"
        defaults = (yaml.safe_load(file.read_text()) if file.exists() else None) or {}
        for name in yaml.safe_load(specs.read_text())["argument_specs"]["main"]["options"]:
            yield role.name, name, defaults.get(name)


@pytest.mark.parametrize(
    ("name", "default"), [(name, default) for role, name, default in options() if role not in ELSEWHERE]
)
def test_the_variable_is_set_to_something_else(name, default):
    if name in EXCEPTIONS:
        assert name not in SET
    else:
        assert name in SET
        assert SET[name] != default


def test_nothing_else_is_set_there():
    assert set(SET) <= {name for _, name, _ in options()}


def test_there_are_no_idle_exceptions():
    assert set(EXCEPTIONS) <= {name for _, name, _ in options()}
