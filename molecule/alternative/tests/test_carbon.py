"""Variables of role carbon."""

import json
import time

import pytest

INFO = """
import json, sys, whisper
info = whisper.info(json.load(sys.stdin))
archives = [[archive["secondsPerPoint"], archive["retention"]] for archive in info["archives"]]
print(json.dumps([info["aggregationMethod"], info["xFilesFactor"], archives]))
"""

SEND = """
import json, socket, sys
port, lines = json.load(sys.stdin)
with socket.create_connection(("127.0.0.1", port)) as carbon:
    carbon.sendall("".join(line + "\\n" for line in lines).encode())
"""


def send(site, *names):
    """Send a 7 for each name, now."""
    site.python(SEND, [2013, [f"{name} 7 {int(time.time())}" for name in names]])


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("alternative.brief.peak", ["max", 0.5, [[5, 600]]]),
        ("alternative.long.peak", ["max", 0.5, [[5, 3600], [30, 86400]]]),
        ("alternative.long.other", ["last", 0.0, [[5, 3600], [30, 86400]]]),
    ],
)
def test_a_series_is_kept_as_its_rules_say(host, site, name, kept):
    send(site, name)
    path = f"/var/lib/graphite/whisper/{name.replace('.', '/')}.wsp"
    site.until(lambda: host.file(path).exists)
    assert json.loads(site.python(INFO, path)) == kept


def test_a_new_series_does_not_take_all_its_space(host, site):
    send(site, "alternative.sparse")
    path = "/var/lib/graphite/whisper/alternative/sparse.wsp"
    site.until(lambda: host.file(path).exists)
    assert int(host.check_output(f"stat -c %b {path}")) * 512 < host.file(path).size


def test_the_firewall_lets_in_who_may_send(host):
    rules = host.check_output("nft list chain inet graphing input")
    assert "ip saddr 192.0.2.0/24 tcp dport 2013 accept" in rules
    assert "ip6 saddr 2001:db8::/32 tcp dport 2013 accept" in rules
    assert "dport 2003" not in rules
    assert not host.socket("tcp://2003").is_listening


def test_two_caches_share_the_series(host, site):
    """Each is asked for what it holds: fresh points of all series can be read, whichever cache has them."""
    names = [f"alternative.shared.s{number}" for number in range(40)]
    send(site, *names)
    site.until(lambda: len(site.render("alternative.shared.*")) == len(names))
    for cache in "ab":
        assert host.service(f"carbon-cache@{cache}").is_running
        received = site.until(lambda cache=cache: site.render(f"carbon.agents.*-{cache}.metricsReceived"))
        assert any(value > 0 for points in received.values() for value in points.values())


def test_the_caches_know_their_bounds(host):
    settings = host.file("/etc/carbon/carbon.conf").content_string.splitlines()
    for line in ("MAX_CACHE_SIZE = 1000000", "MAX_UPDATES_PER_SECOND = 4000", "MAX_CREATES_PER_MINUTE = 50000"):
        assert line in settings
    assert "DISK_RESERVE_BYTES = 104857600" in settings


def test_a_point_may_be_dated_an_hour_ahead_and_no_more(host, site):
    now = int(time.time())
    lines = [f"alternative.future.s{minutes} 7 {now + 60 * minutes}" for minutes in (50, 70)]
    site.python(SEND, [2013, lines])
    folder = "/var/lib/graphite/whisper/alternative/future"
    site.until(lambda: host.file(f"{folder}/s50.wsp").exists)
    site.until(
        lambda: any(map(any, (p.values() for p in site.render("carbon.agents.*.refused.future.count").values())))
    )
    assert not host.file(f"{folder}/s70.wsp").exists


def test_the_relay_holds_as_many_points_as_told(host):
    assert " -q 500000 " in host.check_output("ps -o args= -C carbon-c-relay")


def test_a_series_with_tags_is_found_by_them(site):
    send(site, "alternative.tagged;colour=red;shape=round", "alternative.tagged;colour=blue;shape=round")
    found = site.until(lambda: site.render("seriesByTag('name=alternative.tagged','colour=red')"))
    assert [list(points.values()) for points in found.values()] == [[7]]
    assert site.request("/tags/tagSeries", {"path": "alternative.forged;colour=red"}, Cookie="")["status"] == 403
