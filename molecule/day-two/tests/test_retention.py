"""A changed retention is brought to stored series while events come in, and each number stays where it was."""

import re
from typing import Any

import pytest
from playbook import run_playbook
from site_under_test import Site
from stored import Stored

SCHEMAS = "/etc/carbon/storage-schemas.conf"
RULE = "[retained]\npattern = ^stats\\.retained\\..*count$\nretentions = 10s:12h,1m:14d,10m:90d,1h:5y\n\n"
BEFORE = [(10, 2160), (60, 10080), (600, 12960), (3600, 43800)]
BACKUP = "/var/lib/graphite/retention-backup"
SERIES = 40
HISTORY = "stats.retained.history.count"
TRAFFIC_SERIES = [f"stats.retained.traffic.s{number}.count" for number in range(SERIES)]

TRAFFIC = """
import socket, sys, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sent = 0
print("begun", flush=True)
while True:
    try:
        open("/run/retained-traffic-end").close()
        break
    except FileNotFoundError:
        pass
    for number in range(40):
        out.sendto(b"retained.traffic.s%d:1|c" % number, ("127.0.0.1", 8125))
    sent += 1
    time.sleep(0.1)
open("/run/retained-traffic-sent", "w").write(str(sent))
"""


@pytest.fixture(scope="module")
def stored(host):
    return Stored(Site(host))


@pytest.fixture(scope="module")
def history(stored):
    """Three days of numbers, the last six hours of them every ten seconds, and files for the traffic to come."""
    now = stored.now()
    coarse = [(now - age, age % 89) for age in range(3 * 86400, 6 * 3600, -600)]
    fine = [(now - age, age % 97) for age in range(6 * 3600, 0, -10)]
    stored.make("stats.retained.history.count", BEFORE, coarse + fine)
    for name in TRAFFIC_SERIES:
        stored.make(name, BEFORE, [])
    yield now
    stored.remove("stats.retained")


@pytest.fixture(scope="module")
def rule(host, history):
    """Another rule for some series, in front of the others. carbon reads it within a minute, the tool at once."""
    before = host.file(SCHEMAS).content_string
    host.check_output("cp -p %s /run/schemas && printf %%s %s > %s", SCHEMAS, RULE + before, SCHEMAS)
    yield
    host.check_output("mv /run/schemas %s", SCHEMAS)


@pytest.fixture
def traffic(host, stored):
    """Events for all of the series, without a pause; ends when it is called, and tells how many each got."""
    host.check_output("rm -f /run/retained-traffic-*")
    host.check_output("systemd-run --unit=retained-traffic --collect python3 -c %s", TRAFFIC)

    def end():
        host.check_output("touch /run/retained-traffic-end")
        return int(stored.site.until(lambda: host.run("cat /run/retained-traffic-sent").stdout))

    yield end
    host.run("systemctl stop retained-traffic; rm -f /run/retained-traffic-*")
    stored.forget(*(f"retained.traffic.s{number}" for number in range(SERIES)))


def archives(stored, now):
    """Each archive but for its oldest hour, which may run out while the test goes on."""
    return {step: stored.slots(HISTORY, step, now, step * points - 3600) for step, points in BEFORE}


def test_what_is_kept_otherwise_is_reported_and_nothing_changed(host, inventory, stored, history, rule):
    path = stored.path(HISTORY)
    before = host.file(path).sha256sum
    applied: dict[str, Any] = {"retention_apply": True}
    for options in ([], ["--check"]):
        run = run_playbook("retention", inventory, *options, **(applied if options else {}))
        assert run.status == 0, run.output
        assert "41 retention 10s:6h,1m:1w,10m:90d,1h:5y -> 10s:12h,1m:2w,10m:90d,1h:5y (stats.retained." in run.words
        assert "Nothing was changed." in run.words
        assert re.search(r"changed=0 .*failed=0", run.words)
    assert host.file(path).sha256sum == before
    assert not host.file(BACKUP).exists


def test_all_numbers_stay_and_no_event_is_lost(inventory, stored, history, rule, traffic):
    site = stored.site
    two_days = f"{history - 2 * 86400}&until={history}"
    before, drawn = archives(stored, history), site.render(HISTORY, two_days)
    assert [len(slots) > 400 for slots in before.values()] == [True, True, True, False]
    run = run_playbook("retention", inventory, retention_apply=True)
    assert run.status == 0, run.output
    assert "100 % 41 of 41 series" in run.words
    assert "Changed 41 series." in run.words
    assert " 0 otherwise" in run.words
    sent = traffic()
    assert archives(stored, history) == before
    assert site.render(HISTORY, two_days) == drawn

    def counted():
        found = site.render("stats.retained.traffic.*.count", "-1h")
        return found.keys() == set(TRAFFIC_SERIES) and {sum(points.values()) for points in found.values()} == {sent}

    assert sent > 0
    assert site.until(counted)


def test_a_second_run_finds_nothing_to_do_and_the_old_files_are_there_until_they_are_removed(host, inventory, rule):
    run = run_playbook("retention", inventory, retention_apply=True)
    assert run.status == 0, run.output
    assert re.search(r"changed=0 .*failed=0", run.words)
    assert "Nothing is left to do." in run.words
    kept = host.check_output("find %s -name '*.wsp'", BACKUP).splitlines()
    assert len(kept) == SERIES + 1
    run = run_playbook("retention", inventory, retention_remove_backup=True)
    assert run.status == 0, run.output
    assert not host.file(BACKUP).exists


def test_what_cannot_be_meant_is_refused(inventory):
    run = run_playbook("retention", inventory, retention_aply=True)
    assert run.status != 0
    assert "retention_aply is not a variable of playbook retention (did you mean retention_apply?)" in run.words
    run = run_playbook("retention", inventory, retention_apply=True, retention_backup="/var/lib/graphite/whisper/x")
    assert run.status != 0
    assert "the backup must lie outside /var/lib/graphite/whisper" in run.words


def test_a_rule_that_carbon_would_refuse_is_named(host, inventory, rule):
    host.check_output("cp -p %s /run/rules && sed -i '1,3s/12h/12x/' %s", SCHEMAS, SCHEMAS)
    try:
        run = run_playbook("retention", inventory)
    finally:
        host.check_output("mv /run/rules %s", SCHEMAS)
    assert run.status != 0
    assert "/etc/carbon/storage-schemas.conf: [retained]: Invalid unit" in run.words
