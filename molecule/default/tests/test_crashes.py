"""Numbered metrics through crashes and restarts of the real daemons: what was sent is stored, to the last one.

Every event has a number, and a timer's sum is the sum of the numbers: one that is missing or there twice shows.
"""

import json
import uuid

import pytest

FLOOD = """
import json, random, socket, subprocess, sys, time
bucket, seconds, moments, command = json.load(sys.stdin)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.connect(("127.0.0.1", 8125))
start, sent = time.time(), 0
moments = [start + moment for moment in moments]
running = []
while time.time() < start + seconds:
    for _ in range(40):
        out.send(f"{bucket}:{sent}|ms\\n{bucket}.events:1|c".encode())
        sent += 1
    if moments and time.time() >= moments[0]:
        moments.pop(0)
        running.append(subprocess.Popen(command))
    time.sleep(0.008)
print(json.dumps({"sent": sent, "codes": [process.wait() for process in running]}))
"""

WHISPER = """
import json, struct, sys
total, stamps = 0.0, []
for path in json.load(sys.stdin):
    data = open(path, "rb").read()
    _, _, _, archives = struct.unpack(">LLfL", data[:16])
    offset, step, points = struct.unpack(">LLL", data[16:28])
    for n in range(points):
        stamp, value = struct.unpack(">Ld", data[offset + 12 * n : offset + 12 * n + 12])
        if stamp:
            total += value
            stamps.append(stamp)
print(json.dumps({"total": total, "stamps": sorted(stamps)}))
"""


@pytest.fixture
def bucket():
    return f"crash.{uuid.uuid4().hex[:12]}"


def total(site, target):
    return sum(value for points in site.render(target, "-20min").values() for value in points.values())


def stored(site, name):
    """What the finest archive of a whisper file holds."""
    return json.loads(site.python(WHISPER, [f"/var/lib/graphite/whisper/{name.replace('.', '/')}.wsp"]))


def starts(host):
    return int(host.check_output("systemctl show statsd --property=NRestarts --value"))


def assert_all_there(site, bucket, sent):
    site.until(lambda: total(site, f"stats.{bucket}.events.count") >= sent)
    # The flush of the last interval has written all leaves or none.
    site.until(lambda: total(site, f"stats.{bucket}.count") >= sent)
    assert total(site, f"stats.{bucket}.events.count") == sent
    assert total(site, f"stats.{bucket}.count") == sent
    assert total(site, f"stats.{bucket}.sum") == sent * (sent - 1) / 2
    site.until(lambda: stored(site, f"stats.{bucket}.count")["total"] >= sent)
    assert stored(site, f"stats.{bucket}.sum")["total"] == sent * (sent - 1) / 2


def flood(site, bucket, seconds, moments, *command):
    result = json.loads(site.python(FLOOD, [bucket, seconds, moments, command]))
    assert result["sent"] > 100 * seconds, "hardly anything was at risk"
    assert all(code == 0 for code in result["codes"])
    return result["sent"]


def test_the_aggregator_killed_in_mid_flood(site, host, bucket):
    before = starts(host)
    resumed = total(site, "statsd.resumed.count")
    kill = ("systemctl", "kill", "--signal=KILL", "statsd.service")
    sent = flood(site, bucket, 16, [1.3, 4.9, 8.2, 12.7], *kill)
    assert_all_there(site, bucket, sent)
    assert starts(host) == before + 4
    site.until(lambda: total(site, "statsd.resumed.count") > resumed)


def test_the_aggregator_restarted_in_mid_flood(site, bucket):
    sent = flood(site, bucket, 16, [1.3, 4.9, 8.2, 12.7], "systemctl", "restart", "statsd.service")
    assert_all_there(site, bucket, sent)


def test_carbon_away_for_some_flushes(site, host, bucket):
    units = ("carbon-c-relay.service", "carbon-cache@a.service")
    host.check_output("systemctl stop " + " ".join(units))
    try:
        sent = flood(site, bucket, 25, [])
    finally:
        host.check_output("systemctl start " + " ".join(units))
    assert_all_there(site, bucket, sent)
    stamps = sorted(stored(site, f"stats.{bucket}.count")["stamps"])
    assert stamps == list(range(stamps[0], stamps[-1] + 1, 10)), "an interval is missing or at another time"


def test_carbon_killed_with_a_full_cache(site, host, bucket, updates_per_second):
    count = 400

    def found(stamp):
        series = site.render(f"stats.{bucket}.*.count")
        return {int(name.split(".")[3]): points[stamp] for name, points in series.items() if stamp in points}

    first = site.send("\n".join(f"{bucket}.{n}:1|c" for n in range(count)))
    site.until(lambda: len(found(first)) == count)
    updates_per_second(2)
    host.check_output("systemctl restart carbon-cache@a")
    stamp = site.send("\n".join(f"{bucket}.{n}:{n}|c" for n in range(count)))
    site.until(lambda: len(found(stamp)) == count)
    written = [n for n in range(0, count, 10) if stamp in stored(site, f"stats.{bucket}.{n}.count")["stamps"]]
    assert len(written) < count / 20, "carbon had written most of it: nothing was at risk"
    updates_per_second(5000)
    host.check_output("systemctl kill --signal=KILL carbon-cache@a")
    site.until(lambda: found(stamp) == {n: n for n in range(count)})
    site.until(lambda: all(stamp in stored(site, f"stats.{bucket}.{n}.count")["stamps"] for n in range(0, count, 10)))
