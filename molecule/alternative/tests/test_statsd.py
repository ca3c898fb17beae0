"""Variables of role statsd."""

import json
import uuid

import pytest

SEND = """
import json, socket, sys
kind, target, lines = json.load(sys.stdin)
data = "\\n".join(lines).encode() + b"\\n"
if kind == "tcp":
    with socket.create_connection(("127.0.0.1", target)) as out:
        out.sendall(data)
else:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(data, target)
"""

ASK = """
import json, socket, sys
port, question = json.load(sys.stdin)
with socket.create_connection(("127.0.0.1", port), 10) as console:
    console.sendall(question.encode() + b"\\nquit\\n")
    print(b"".join(iter(lambda: console.recv(65536), b"")).decode())
"""


@pytest.fixture
def bucket():
    return f"a{uuid.uuid4().hex[:12]}"


def total(site, target):
    return sum(value for points in site.render(target).values() for value in points.values())


def test_names_are_etsys_behind_the_prefixes(site, bucket):
    stamp = site.send(f"{bucket}:3|c", f"{bucket}:5|g")
    counted = site.until(lambda: site.render(f"metrics.sums.{bucket}.count").get(f"metrics.sums.{bucket}.count"))
    assert counted[stamp] == 3
    assert site.until(lambda: site.render(f"metrics.gauges.{bucket}"))[f"metrics.gauges.{bucket}"][stamp] == 5


def test_timers_have_the_percentiles_and_bins(site, bucket):
    name = f"{bucket}.latency"
    stamp = site.send(*[f"{name}:{value}|ms" for value in range(1, 201)])
    leaves = {"upper_50": 100, "upper_99_9": 200, "lower_top10": 181, "histogram.bin_10": 9, "histogram.bin_100": 90}
    for leaf, value in leaves.items():
        series = f"metrics.timers.{name}.{leaf}"
        assert site.until(lambda series=series: site.render(series).get(series)).get(stamp) == value
    assert site.render(f"metrics.timers.{name}.upper_90") == {}


def test_lines_come_in_by_tcp_too(site, bucket):
    site.python(SEND, ["tcp", 8225, [f"{bucket}:1|c"] * 3])
    site.until(lambda: total(site, f"metrics.sums.{bucket}.count") == 3)


def test_lines_come_in_by_a_unix_socket_too(site, bucket):
    site.python(SEND, ["unix", "/run/statsd-events.sock", [f"{bucket}:1|c"] * 4])
    site.until(lambda: total(site, f"metrics.sums.{bucket}.count") == 4)


def test_tags_go_to_graphite(site, bucket):
    site.send(f"{bucket}:6|c|#region:eu")
    found = site.until(lambda: site.render(f"seriesByTag('region=eu','name=~.*{bucket}.count')"))
    assert sum(value for points in found.values() for value in points.values()) == 6


def test_idle_counters_and_gauges_fall_silent_and_timers_do_not(site, bucket):
    stamp = site.send(f"{bucket}.c:1|c", f"{bucket}.g:1|g", f"{bucket}.t:1|ms")
    timer = f"metrics.timers.{bucket}.t.count"
    site.until(lambda: max(site.render(timer).get(timer, {0: 0})) > stamp + site.interval)
    for series in (f"metrics.sums.{bucket}.c.count", f"metrics.gauges.{bucket}.g"):
        assert list(site.render(series)[series]) == [stamp]


def test_there_is_room_for_so_many_values_and_buckets(site, bucket):
    stamp = site.send(*["\n".join(f"{bucket}:1|ms" for _ in range(20)) for _ in range(30)])
    series = f"metrics.timers.{bucket}.count"
    assert site.until(lambda: site.render(series).get(series))[stamp] == 500
    site.send(*["\n".join(f"{bucket}.s{n}:1|g" for n in range(start, start + 50)) for start in range(0, 3000, 50)])
    found = site.until(lambda: len(site.render(f"metrics.gauges.{bucket}.*", "-1min")) >= 1000)
    assert found
    assert len(site.render(f"metrics.gauges.{bucket}.*", "-1min")) < 2000
    assert site.until(lambda: total(site, "metrics.*.statsd.refused.count")) > 1000


def test_plain_python_aggregates(host):
    assert host.run("journalctl -u statsd --no-pager -o cat -g 'aggregating with the python engine'").rc == 0


def test_the_kernel_keeps_so_much(host):
    # It doubles what it is asked for.
    assert f"rb{2 * 2097152}," in host.check_output("ss -Hulnm 'sport = 8225'")


def test_the_console_is_on_its_port(site, host):
    assert "uptime" in site.python(ASK, [8226, "stats"])
    assert not host.socket("tcp://127.0.0.1:8126").is_listening


def test_the_busiest_buckets_are_logged(site, host):
    site.until(lambda: "forum.demo" in host.run("journalctl -u statsd --no-pager -o cat --since -30s").stdout)


def test_one_cache_is_watched(host):
    watched = host.check_output("ss -Htnp state established '( dport = 2103 or dport = 2203 )'")
    ours = [line for line in watched.splitlines() if '"graphing"' in line]
    assert [line.split()[3].rsplit(":", 1)[1] for line in ours] == ["2103"]


def test_the_firewall_lets_in_who_may_send(host):
    rules = host.check_output("nft list chain inet graphing input")
    assert "ip saddr 203.0.113.0/24 udp dport 8225 accept" in rules
    assert "ip saddr 203.0.113.0/24 tcp dport 8225 accept" in rules


def test_lines_go_where_they_are_to_go_and_are_kept_as_long(host):
    script = "import json, tomllib; print(json.dumps(tomllib.load(open('/etc/graphing/statsd.toml', 'rb'))['carbon']))"
    carbon = json.loads(host.check_output(f'python3 -c "{script}"'))
    assert (carbon["host"], carbon["port"]) == ("localhost", 2013)
    assert (carbon["journal_bytes"], carbon["journal_seconds"], carbon["replay_seconds"]) == (67108864, 3600, 120)
