"""The way of a number over three hosts: from another host to the aggregator, to the store, to the page."""

import re
import uuid

import pytest
import testinfra
from playbook import run_playbook

STATSD = "172.31.0.12"


def container(part):
    return testinfra.get_host(f"docker://molecule-ssh-{part}")


@pytest.fixture
def site(site):
    site.statsd = STATSD
    return site


@pytest.fixture
def bucket():
    return f"apart.{uuid.uuid4().hex[:12]}"


def count(site, bucket, stamp):
    return site.render(f"stats.{bucket}.count").get(f"stats.{bucket}.count", {}).get(stamp)


def test_it_comes_out_as_it_went_in(site, bucket):
    stamp = site.send(*[f"{bucket}:1|c"] * 137, f"{bucket}:5|c\n{bucket}:-2|c", f"{bucket}:3|c|@0.1")
    assert site.until(lambda: count(site, bucket, stamp)) == 170


def test_it_is_kept_on_the_store_alone(site, bucket, host):
    stamp = site.send(f"{bucket}:7|c")
    site.until(lambda: count(site, bucket, stamp))
    path = f"/var/lib/graphite/whisper/stats/{bucket.replace('.', '/')}/count.wsp"
    assert container("store").file(path).is_file
    assert not host.file(path).exists
    assert not container("statsd").file(path).exists


def test_the_search_of_the_page_finds_what_the_store_has(site):
    found = site.request("/browser/search", {"query": "carbon.agents"})
    assert found["status"] == 200
    assert "carbon.agents." in found["body"]


def test_what_a_stranger_sends_is_not_counted(site, bucket):
    stranger = container("stranger")
    stranger.check_output(f"bash -c 'for n in 1 2 3; do echo -n {bucket}:1000\\|c > /dev/udp/{STATSD}/8125; done'")
    stamp = site.send(f"{bucket}:1|c")
    assert site.until(lambda: count(site, bucket, stamp)) == 1
    assert set(site.render(f"stats.{bucket}.count")[f"stats.{bucket}.count"].values()) <= {0, 1}


def test_each_host_reports_its_own_load(site):
    hosts = {f"hosts.molecule-ssh-{part}.load.shortterm" for part in ("statsd", "store", "web")}
    assert site.until(lambda: hosts <= set(site.render("hosts.*.load.shortterm")))


def test_a_crash_of_the_cache_is_noticed_by_the_aggregator(site, host):
    aggregator = container("statsd")
    returned = "journalctl -u statsd --no-pager -o cat -g 'carbon at 172.31.0.11:2103 is back' | wc -l"
    before = int(aggregator.check_output(returned))
    container("store").check_output("systemctl kill --signal=KILL carbon-cache@a")
    assert site.until(lambda: int(aggregator.check_output(returned)) > before)


UNITS = {
    "statsd": {"statsd", "collectd", "graphing-watchdog"},
    "store": {"carbon-cache@a", "carbon-c-relay", "graphite-web", "collectd", "graphing-watchdog"},
    "web": {"graphite-web", "photoworld", "photoworld-visitors", "nginx", "collectd", "graphing-watchdog"},
}
EVERY_UNIT = set().union(*UNITS.values())


@pytest.mark.parametrize(("part", "units"), UNITS.items())
def test_each_host_runs_its_part_and_no_other(part, units):
    host = container(part)
    assert {unit for unit in EVERY_UNIT if host.service(unit).is_running} == units


def test_the_doctor_finds_each_host_well(inventory):
    run = run_playbook("doctor", inventory)
    assert run.status == 0, run.output
    for part in UNITS:
        assert re.search(rf"molecule-ssh-{part}: [0-9]+ (of [0-9]+ )?checks ", run.words)
    assert "a number sent to 8125/udp is in the aggregator" in run.words
    assert "a number sent to 2003/tcp is in carbon" in run.words
    assert "a number sent to the host that keeps the numbers is in the graph" in run.words


@pytest.mark.parametrize("name", ["backup", "secrets", "upgrade"])
def test_what_is_for_a_server_of_one_host_says_so(inventory, name):
    run = run_playbook(name, inventory)
    assert run.status != 0, run.output
    assert "and this playbook is for a server of one host" in run.words, run.output


def test_one_host_alone_is_told_what_the_others_are(inventory):
    run = run_playbook("site", inventory, "--limit=molecule-ssh-web", "--check")
    assert run.status == 0, run.output
    assert "changed=0" in run.words, run.output
    assert "molecule-ssh-store" not in run.output.split("PLAY RECAP")[1]
