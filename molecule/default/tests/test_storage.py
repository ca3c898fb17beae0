"""What lies on disk: names, retention, and how points become coarser."""

import json

import pytest

TYPES = {"counters", "timers", "gauges", "sets", "kv", "ms", "c", "g"}

INFO = """
import json, sys, whisper
info = whisper.info(json.load(sys.stdin))
print(json.dumps([info["aggregationMethod"], info["xFilesFactor"],
                  [[a["secondsPerPoint"], a["points"]] for a in info["archives"]]]))
"""


def test_no_metric_type_is_in_a_name(host):
    names = host.check_output("cd /var/lib/graphite/whisper && find . -name '*.wsp'").splitlines()
    assert any("/photoworld/" in name for name in names)
    typed = [name for name in names if TYPES & set(name.removesuffix(".wsp").split("/"))]
    assert typed == []


@pytest.mark.parametrize(
    ("series", "method"),
    [
        ("stats/photoworld/visitors/unique", "max"),
        ("stats/photoworld/responses/2xx/count", "sum"),
        ("stats/photoworld/responses/2xx/rate", "average"),
        ("stats/photoworld/request/front/upper_90", "max"),
        ("stats/photoworld/request/front/lower", "min"),
        ("stats/photoworld/request/front/sum_squares_90", "sum"),
        ("stats/photoworld/request/front/mean_90", "average"),
        ("stats/photoworld/active_sessions", "average"),
    ],
)
def test_a_series_is_kept_as_declared(site, host, series, method):
    path = f"/var/lib/graphite/whisper/{series}.wsp"
    site.until(lambda: host.file(path).exists)
    archives = [[10, 2160], [60, 10080], [600, 12960], [3600, 43800]]
    assert json.loads(site.python(INFO, path)) == [method, 0.0, archives]


def test_new_series_are_not_throttled(site):
    """A thousand at once are all there after one flush; carbon's sample configuration would drop most of them."""
    stamp = site.send(
        *["\n".join(f"many.s{n}:{n}|g" for n in range(start, start + 50)) for start in range(0, 1000, 50)]
    )
    found = site.until(
        lambda: (
            len(series := {n: p for n, p in site.render("stats.many.*", "-2min").items() if stamp in p}) == 1000
            and series
        )
    )
    assert {name: points[stamp] for name, points in found.items()} == {f"stats.many.s{n}": n for n in range(1000)}


def test_the_caches_dropped_nothing(site):
    for leaf in ("droppedCreates", "cache.overflow"):
        found = site.until(lambda leaf=leaf: site.render(f"carbon.agents.*.{leaf}"))
        assert all(set(points.values()) <= {0} for points in found.values()), found


def test_the_hosts_own_points_come_in_one_round(site):
    """collectd sends full packets of its own accord, so that some series would always be a round behind the others."""
    own = "group(hosts.*.*,hosts.*.*.*,hosts.*.*.*.*,hosts.*.*.*.*.*)"

    def rounds():
        return {max(points) for points in site.render(own, "-40s").values() if points}

    def together():
        # Twice, as a round may come in while the first answer is put together.
        first, second = rounds(), rounds()
        return first == second and len(first) == 1

    site.until(together)
