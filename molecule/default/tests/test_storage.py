"""What lies on disk: names, retention, and how points become coarser."""

import hashlib
import json
import string
import time
import urllib.parse
import uuid

import pytest

TYPES = {"counters", "timers", "gauges", "sets", "kv", "ms", "c", "g"}

INFO = """
import json, sys, whisper
info = whisper.info(json.load(sys.stdin))
print(json.dumps([info["aggregationMethod"], info["xFilesFactor"],
                  [[a["secondsPerPoint"], a["points"]] for a in info["archives"]]]))
"""

SEND_LINES = """
import json, socket, sys
with socket.create_connection(("127.0.0.1", 2003)) as relay:
    relay.sendall("".join(line + "\\n" for line in json.load(sys.stdin)).encode("latin-1"))
"""

IN_NAMES = "!#$%&+-:=@^_`~"
"""What a part of a name may hold besides letters and digits; `.` stands between parts, `;` before tags."""


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


@pytest.fixture
def refused(site):
    """How many lines the guard has refused since the test began, at least, by kind."""
    began = int(time.time()) // site.interval * site.interval - 1

    def count(kind):
        found = site.render(f"carbon.agents.*.refused.{kind}.count", str(began))
        return sum(sum(points.values()) for points in found.values())

    return count


def test_a_name_is_found_as_it_was_sent_or_refused_and_counted(site, refused):
    """No two become one: beside each there is its like with `_`, as which the relay would hand it on."""
    root, stamp = f"names{uuid.uuid4().hex[:8]}", int(time.time())
    others = ["\xc3\xb6", "\xc3", " ", "\t"]
    sent = {text: f"{root}.u{ord(text[0]):x}.a{text}b" for text in [*string.punctuation, *others] if text not in ".;"}
    fit = {name: ord(text) for text, name in sent.items() if text in IN_NAMES}
    likes = {f"{root}.u{ord(text[0]):x}.a_b": 7 for text in sent if text != "_"}
    lines = [f"{name} {ord(text[0])} {stamp}" for text, name in sent.items()]
    site.python(SEND_LINES, [*lines, *(f"{name} {value} {stamp}" for name, value in likes.items())])

    def found(*targets):
        series = site.render("&target=".join(urllib.parse.quote(target, safe="") for target in targets))
        return {name: next(iter(points.values()), None) for name, points in series.items()}

    site.until(lambda: found(f"{root}.*.*") == fit | likes)
    assert found(*fit) == fit
    site.until(lambda: refused("malformed") >= len(sent) - len(fit))


def test_tags_are_refused_and_counted_while_they_are_off(site, host, refused):
    """Carbon would store the series under a hash, by which nobody finds it."""
    name = f"tagged{uuid.uuid4().hex[:8]}"
    site.python(SEND_LINES, [f"{name};region=eu 1 {time.time():.0f}", f"{name} 2 {time.time():.0f}"])
    site.until(lambda: refused("tagged") >= 1)
    found = site.until(lambda: site.render(f"{name}*"))
    assert {series: set(points.values()) for series, points in found.items()} == {name: {2}}
    digest = hashlib.sha256(f"{name};region=eu".encode()).hexdigest()
    assert not host.file(f"/var/lib/graphite/whisper/_tagged/{digest[:3]}/{digest[3:6]}").exists
    said = host.check_output("journalctl -u 'carbon-cache@*' --no-pager -g 'refused, tags are off'")
    assert "carbon_tags: true" in said
