"""The guard of carbon-cache with Debian's carbon: it tells how things stand, and refuses one that it does not know."""

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
