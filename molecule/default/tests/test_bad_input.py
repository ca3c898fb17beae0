"""What is wrong is named, with the remedy, before anything changes: the real playbook on the real host."""

from typing import Any

import pytest
from playbook import ROOT, run_playbook

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt variable": (
        {"carbon_retentoins": "10s:6h"},
        "carbon_retentoins is not a variable of role carbon (did you mean carbon_retentions?)",
    ),
    "a wrong type": (
        {"statsd_port": "many"},
        "statsd_port 'many': is text and must be a whole number, without quotes.",
    ),
    "a wrong choice": ({"statsd_namespace": "fancy"}, "statsd_namespace 'fancy': must be one of plain, etsy, legacy."),
    "a name with an empty level": ({"statsd_prefix": "a..b"}, "statsd_prefix 'a..b': must be \"\" or a name: letters"),
    "settings of the aggregator that contradict each other": (
        {"statsd_settings": {"health_prefix": "stats"}},
        "statsd.health_prefix = 'stats': must differ from statsd.prefix",
    ),
    "a retention that whisper would refuse": (
        {"carbon_retentions": "10s:6h,15s:7d"},
        "each step must be a multiple of the one before",
    ),
    "another flush interval than carbon's": (
        {"statsd_flush_interval": 60},
        "statsd_flush_interval is 60 s but carbon keeps a point every 10 s",
    ),
    "tags that carbon would refuse": (
        {"statsd_settings": {"tags": "graphite"}},
        "statsd_settings.tags is graphite, but carbon_tags is false",
    ),
    "a rule that is never reached": (
        {"carbon_schemas": [{"name": n, "pattern": ".*", "retentions": "10s:6h"} for n in ("all", "web")]},
        "web: pattern '.*' is never reached: rule all before it takes all it matches",
    ),
    "a port that somebody else holds": (
        {"graphite_web_port": 22},
        "is taken by sshd; role graphite_web needs it",
    ),
    "one port for two": (
        {"statsd_console_port": 2003},
        "Port 2003/tcp is wanted by role carbon and by statsd_console_port: give one of them another.",
    ),
    "a port that another role has on loopback": (
        {"graphite_web_port": 2103},
        "Port 2103/tcp is wanted by role graphite_web and by carbon_caches: give one of them another.",
    ),
    "a system that no test covers": (
        {"_host_debian_releases": ["99"]},
        "the platform is tested on Debian 99. Use a host",
    ),
    "an account that stands twice": (
        {"graphite_web_users": [{"username": "admin"}]},
        "graphite_web_users: each account may stand once",
    ),
    "a store with less than its reserve, at a second run too": (
        {"carbon_disk_reserve": 10**15},
        "1049041749 are needed: 1049041749 for /var/lib/graphite/whisper (role carbon). Free some there",
    ),
    "a rule that carbon would read otherwise": (
        {"carbon_schemas": [{"name": "all", "pattern": ".*\n", "retentions": "10s:6h"}]},
        "carbon_schemas: all: pattern '.*\\n' has a line break or another control character: write \\n",
    ),
    "a weak password": ({"graphite_web_admin_password": "short"}, "shorter than 8 characters"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_before_anything_changes(case):
    given, complaint = CASES[case]
    run = run_playbook("site", ROOT / "molecule/default/inventory", **given)
    # The words, however the lines are broken.
    assert run.status != 0
    assert complaint in run.words, run.output
    assert "changed=1" not in run.words, run.output
    assert "changed=0" in run.words, run.output


def test_all_of_it_is_told_at_once_and_no_secret():
    given: dict[str, Any] = {
        "carbon_retentions": ["10s:6h"],
        "graphite_web_admin_user": "o'neil",
        "graphite_web_admin_password": 12345678,
    }
    run = run_playbook("site", ROOT / "molecule/default/inventory", "--limit=molecule-graphing-debian13", **given)
    assert "carbon_retentions ['10s:6h']: is a list and must be text" in run.words, run.output
    assert 'graphite_web_admin_user "o\'neil": must be letters, digits and' in run.words
    assert "graphite_web_admin_password is a number and must be text: put it in quotes" in run.words
    assert "12345678" not in run.words
    assert "changed=0" in run.words


def test_a_time_zone_that_the_host_does_not_know(host):
    zone = "/usr/share/zoneinfo/Europe/Berlin"
    name = host.backend.get_hostname()
    host.check_output(f"mv {zone} {zone}.away")
    try:
        run = run_playbook(
            "site", ROOT / "molecule/default/inventory", f"--limit={name}", graphite_web_time_zone="Europe/Berlin"
        )
    finally:
        host.check_output(f"mv {zone}.away {zone}")
    assert f"graphite_web_time_zone Europe/Berlin: {name} does not know it." in run.words, run.output
    assert "changed=0" in run.words
