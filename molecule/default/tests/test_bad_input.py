"""What is wrong is named, with the remedy, before anything changes: the real playbook on the real host."""

import pytest
from playbook import ROOT, run_playbook

CASES = {
    "a misspelt variable": (
        {"carbon_retentoins": "10s:6h"},
        "carbon_retentoins is not a variable of role carbon (did you mean carbon_retentions?)",
    ),
    "a wrong type": ({"statsd_port": "many"}, "argument 'statsd_port' is of type"),
    "a wrong choice": ({"statsd_namespace": "fancy"}, "value of statsd_namespace must be one of: plain, etsy, legacy"),
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
        {"graphite_web_port": 2103},
        "is taken by carbon-cache; role graphite_web needs it",
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
