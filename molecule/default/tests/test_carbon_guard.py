"""The guard of carbon-cache with Debian's carbon: it tells how things stand, and refuses one that it does not know."""

import json
import uuid

import pytest

GUARD = "/usr/local/lib/graphing/carbon-cache"

ALTERED = """
import runpy, sys
from carbon.conf import CarbonCacheOptions
read = CarbonCacheOptions.postOptions
def read_then_alter(options):
    read(options)
    from carbon import {module}
    {change}
CarbonCacheOptions.postOptions = read_then_alter
sys.path.insert(0, "/usr/local/lib/graphing")
sys.argv = ["{guard}", "--config=/etc/carbon/carbon.conf", "--instance=a", "--pidfile=/tmp/none", "--nodaemon", "start"]
runpy.run_path("{guard}", run_name="__main__")
"""


def test_it_tells_how_things_stand(site):
    leaves = ("door.open", "disk.free_bytes", "points.lost.count", "files.corrupt.count")

    def told():
        series = {name: points for leaf in leaves for name, points in site.render(f"carbon.agents.*.{leaf}").items()}
        return {name.split(".", 3)[3]: points[max(points)] for name, points in series.items() if points}

    found = site.until(lambda: len(found := told()) == len(leaves) and found)
    assert found["door.open"] == 1
    assert found["disk.free_bytes"] > 2**28
    assert found["points.lost.count"] == found["files.corrupt.count"] == 0


@pytest.mark.parametrize(
    ("module", "change", "named"),
    [
        ("cache", "del cache._MetricCache.drain_metric", "carbon.cache._MetricCache.drain_metric"),
        ("protocols", "protocols.MetricLineReceiver.lineReceived = print", "protocols.MetricLineReceiver.lineReceived"),
        ("instrumentation", "instrumentation.cache_record = lambda *_: None", "carbon.instrumentation.cache_record"),
    ],
)
def test_it_does_not_start_with_a_carbon_that_is_made_otherwise(host, module, change, named):
    script = ALTERED.format(module=module, change=change, guard=GUARD)
    run = host.run("runuser -u _graphite -- timeout 60 python3 -c %s", script)
    assert run.rc == 1, run.stdout + run.stderr
    assert f"{named} is not as in carbon 1.1.7 and 1.1.10" in run.stderr
    assert "carbon_guard: false" in run.stderr


# New series in one folder, looked at all the time while they are made: how many had a file without a header.
NEW_SERIES = """
import json, os, socket, sys, time
name, count = json.load(sys.stdin)
folder, early, left = "/var/lib/graphite/whisper/" + name, set(), set(map(str, range(count)))
with socket.create_connection(("127.0.0.1", 2003)) as carbon:
    carbon.sendall("".join(f"{name}.{n} 1 {time.time():.0f}\\n" for n in range(count)).encode())
end = time.time() + 60
while left and time.time() < end:
    for n in list(left):
        try:
            with open(f"{folder}/{n}.wsp", "rb") as file:
                header = file.read(28)
        except OSError:
            continue
        left.discard(n)
        if len(header) < 28:
            early.add(n)
print(json.dumps([len(left), len(early)]))
"""


def test_a_new_series_is_whole_as_soon_as_it_is_there(site):
    """Otherwise a query that finds it too early fails, with all the other series that it asks for."""
    missing, early = json.loads(site.python(NEW_SERIES, [f"born{uuid.uuid4().hex[:8]}", 300]))
    assert (missing, early) == (0, 0)
