"""The same traffic to etsy/statsd and to this aggregator gives the same lines for Graphite.

Runs etsy's own server (from npm, kept in `.cache/etsy-statsd`) and ours side by side, with each engine
that there is. Skipped where there is no Node.js or no way to the registry.
"""

import json
import math
import random
import re
import shutil
import subprocess
import time
from typing import Any

import pytest
from ports import reserve_port
from programs import Program, wait_for
from support import REPOSITORY, Carbon, Daemon, send, udp_socket

from graphing.statsd.engine.compiled import is_available

ENGINES = ["python", "compiled"] if is_available() else ["python"]
VERSION = "0.9.0"
CACHE = REPOSITORY / ".cache" / "etsy-statsd"
INSTALL_SECONDS = 120
SECONDS = 2
"""Of an interval; not 1, so that rates differ from counts."""
ATTEMPTS = 5
PERCENTILES = [90, -10, 99.9, 50]
HISTOGRAMS: list[dict[str, Any]] = [
    {"match": "none", "bins": []},
    {"match": "fine", "bins": [0.5, 10, 2.25, 100]},
    {"match": "t", "bins": [-1, 20, 300, math.inf]},
]
SUFFIX = "web1"

# Node.js 23 dropped a function that etsy's server calls to say that it is up.
_SHIM = "const util = require('util'); util.log = util.log || console.log;\n"


@pytest.fixture(scope="module")
def etsy_folder():
    """Return the folder with etsy's server, installed at the first use."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("needs node and npm, to run etsy/statsd")
    target = CACHE / VERSION
    if not target.exists():
        install(target)
    return target / "node_modules" / "statsd"


def install(target):
    CACHE.mkdir(parents=True, exist_ok=True)
    scratch = CACHE / f"{VERSION}.{time.monotonic_ns()}"
    command = ["npm", "install", "--prefix", str(scratch), f"statsd@{VERSION}"]
    options = [
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--omit=optional",
        "--no-package-lock",
        "--fetch-retries=1",
    ]
    try:
        subprocess.run([*command, *options], timeout=INSTALL_SECONDS, check=True, capture_output=True, text=True)
        # At once, so that a test beside this one never sees half of it.
        scratch.replace(target)
    except subprocess.CalledProcessError as error:
        # The first complaint says why; what follows is advice.
        reason = " ".join(re.split("npm (?:error|ERR!)", error.stderr)[1:4]).split()
        pytest.skip(f"npm can't install statsd@{VERSION}: {' '.join(reason)}")
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm could not install statsd@{VERSION} in {INSTALL_SECONDS} s")
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class Etsy(Program):
    """etsy's server as a process."""

    def __init__(self, installed, folder, carbon_port, legacy, further):
        self.port = reserve_port()
        (folder / "shim.js").write_text(_SHIM)
        # Read as JavaScript, which JSON is.
        (folder / "etsy.js").write_text(json.dumps({**self._config(carbon_port, legacy), **further}))
        command = ["node", "-r", str(folder / "shim.js"), "stats.js", str(folder / "etsy.js")]
        super().__init__(command, folder / "etsy.log", cwd=installed)

    def _config(self, carbon_port: int, legacy: bool) -> dict[str, Any]:
        return {
            "address": "127.0.0.1",
            "port": self.port,
            "mgmt_address": "127.0.0.1",
            "mgmt_port": reserve_port(),
            "flushInterval": SECONDS * 1000,
            "percentThreshold": PERCENTILES,
            "histogram": [
                {"metric": entry["match"], "bins": ["inf" if bound == math.inf else bound for bound in entry["bins"]]}
                for entry in HISTOGRAMS
            ],
            "backends": ["./backends/graphite"],
            "graphiteHost": "127.0.0.1",
            "graphitePort": carbon_port,
            "graphite": {"legacyNamespace": legacy, "globalSuffix": SUFFIX},
            "deleteIdleStats": False,
            "automaticConfigReload": False,
        }


class Servers:
    """etsy's server and ours, and what they sent."""

    def __init__(self, installed, folder, legacy, etsys=None, ours=None):
        """Start them; `etsys` and `ours` are further settings."""
        self.legacy = legacy
        self._settings = ours or {}
        self.carbons = {who: Carbon() for who in ("etsy", *ENGINES)}
        self._etsy = Etsy(installed, folder, self.carbons["etsy"].port, legacy, etsys or {})
        self._inboxes = {engine: udp_socket() for engine in ENGINES}
        self._daemons = {engine: self._start(engine, folder / engine) for engine in ENGINES}

    def _start(self, engine, folder):
        folder.mkdir()
        settings = {
            "interval": SECONDS,
            "namespace": "legacy" if self.legacy else "etsy",
            "tags": "drop" if self.legacy else "graphite",
            "suffix": SUFFIX,
            "percentiles": PERCENTILES,
            "histograms": HISTOGRAMS,
            **self._settings,
        }
        return Daemon(folder, self.carbons[engine].port, self._inboxes[engine], engine=engine, **settings)

    def count_name(self, bucket):
        return f"stats_counts.{bucket}.{SUFFIX}" if self.legacy else f"stats.counters.{bucket}.count.{SUFFIX}"

    def feed(self, make_datagrams):
        """Send the same to all, and return what the flush that holds it and the next one say, by server.

        `make_datagrams` is called with the first part of all its buckets, another one for each
        attempt: a flush may fall between two datagrams, and the kernel may drop one.
        """
        for attempt in range(ATTEMPTS):
            run = f"run{attempt}x{random.getrandbits(32):08x}"
            datagrams = [b"%s\n%s.sent:1|c" % (datagram, run.encode()) for datagram in make_datagrams(run)]
            self.send(datagrams)
            found = {who: self._flushes_of(who, run, len(datagrams)) for who in self.carbons}
            if all(found.values()):
                return found
        raise AssertionError(f"{ATTEMPTS} times not all datagrams were in one flush\n{self._logs()}")

    def send(self, datagrams):
        """Send the same to all, at the beginning of an interval."""
        self._await_fresh_flushes()
        for target in (self._etsy.port, *self._inboxes.values()):
            send(target, *datagrams)

    def times(self, who, name, most):
        """Return how many flushes had a series, after more than `most`."""
        carbon, own = self.carbons[who], self.count_name("statsd.packets_received")
        first = min(wait_for(lambda: list(carbon.series(name)), lambda: f"{name} of {who}\n{self._logs()}"))
        wait_for(lambda: sum(stamp > first for stamp in carbon.series(own)) > most, "more flushes")
        return len(carbon.series(name))

    def _await_fresh_flushes(self):
        began = time.time()
        wait_for(
            lambda: all(any(stamp > began for _, stamp in list(carbon.points)) for carbon in self.carbons.values()),
            lambda: f"a flush of both\n{self._logs()}",
        )

    def _flushes_of(self, who, run, sent):
        carbon = self.carbons[who]
        name = self.count_name(f"{run}.sent")
        # The third has begun, so nothing of the first two is on its way.
        stamps = wait_for(
            lambda: sorted(found) if len(found := carbon.series(name)) >= 3 else None,
            lambda: f"{name} of {who}\n{self._logs()}",
        )
        points = list(carbon.points.items())
        flushes = [
            {name: value for (name, stamp), value in points if stamp == at and (run in name or "statsd." in name)}
            for at in stamps
        ]
        first = next((number for number, flush in enumerate(flushes[:-2]) if flush[name] == sent), None)
        return None if first is None else flushes[first : first + 2]

    def _logs(self):
        logs = {"etsy": self._etsy.text(), **{name: daemon.text() for name, daemon in self._daemons.items()}}
        return "\n".join(f"{who}: {text[-2000:]}" for who, text in logs.items())

    def close(self):
        self._etsy.kill()
        for daemon in self._daemons.values():
            daemon.kill()
        for inbox in self._inboxes.values():
            inbox.close()
        for carbon in self.carbons.values():
            carbon.close()


@pytest.fixture(scope="module", params=[False, True], ids=["etsy", "legacy"])
def servers(request, etsy_folder, tmp_path_factory):
    started = Servers(etsy_folder, tmp_path_factory.mktemp("etsy"), request.param)
    yield started
    started.close()


# Traffic that both understand alike. Buckets with `rough` in their name hold numbers whose sums depend on
# the order of rounding, of the others all numbers are the same to the last bit.

BAD_LINES = ["{}", "{}:1", "{}:", "{}:|c", "{}:x|g", "{}:1 2|ms", "{}:1|c|0.5", "{}:1|c|@x", "{}:1|ms|@-1", "{}:1|c|"]


def counter(rng, run):
    if rng.random() < 0.3:
        return f"{run}.rough.c{rng.randrange(4)}:{rng.uniform(0, 90):.3f}|c|@{rng.choice(['0.3', '.7', '0.015', '1'])}"
    rate = rng.choice(["", "", "|@0.5", "|@0.25", "|@1", "|@1.0", "|@0.1"])
    return f"{run}.c{rng.randrange(9)}:{rng.choice([1, 1, 1, 20, -3, 4.5, '1e3', ' 7 '])}|c{rate}"


def timer(rng, run):
    if rng.random() < 0.3:
        return f"{run}.rough.fine.t{rng.randrange(4)}:{rng.uniform(0, 200):.3f}|ms{rng.choice(['', '|@0.3'])}"
    name = rng.choice(["t", "t", "t", "fine", "none.t"])
    value = rng.choice([0, 0.5, 1, 7, 10, 20, 300, rng.randrange(1000)])
    return f"{run}.{name}{rng.randrange(4)}:{value}|ms{rng.choice(['', '', '|@0.5', '|@0.1'])}"


def gauge(rng, run):
    sign = rng.choice(["", "", "+", "-"])
    return f"{run}.g{rng.randrange(9)}:{sign}{rng.choice([0, 1, 2.5, 0.1, 1e-7, 12345678901])}|g"


def member(rng, run):
    return f"{run}.s{rng.randrange(5)}:{rng.choice(['a', 'b b', 'é', '0', '1', '-1', 'x' * 50, rng.random()])}|s"


def several(rng, run):
    values = rng.choice(["1|c:2|c:3|c|@0.5", "1|ms:2|ms", "5|g:+2|g:-1|g", "a|s:b|s", "1|c:5|ms:7|g:z|s"])
    return f"{run}.m{rng.randrange(3)}:{values}"


def odd_name(rng, run):
    name = rng.choice(
        ["a b", "a\t b", "a/b", "a%!b", "aéb", "a'b\"", "A_B-C", "constructor", "__proto__x", "0", "a(b)"]
    )
    return f"{run}.{name}:{rng.randrange(1, 9)}|{rng.choice(['c', 'ms', 'g', 's'])}{rng.choice(['', chr(13)])}"


def bad(rng, run):
    return rng.choice(BAD_LINES).format(f"{run}.bad")


def tagged(rng, run):
    name, values = rng.choice(["c0:2|c", "t0:3|ms|@0.5", "g0:4|g", "s0:5|s"]).split(":")
    inside = rng.choice(["", ";a=1", ";a=x.y;b=2"])
    after = rng.choice(["", "|#c:x y", "|#c:eu/1,d:a=b"])
    return f"{run}.{name}{inside}:{values}{after}"


MAKERS = [counter, counter, timer, timer, timer, gauge, member, several, odd_name, bad]


def traffic(seed, makers):
    def make(run):
        rng = random.Random(seed)
        lines = [rng.choice(makers)(rng, run) for _ in range(700)]
        datagrams = []
        while lines:
            size = rng.choice([1, 3, 6, 12])
            datagrams.append("\n".join(lines[:size]).encode() + rng.choice([b"", b"\n"]))
            del lines[:size]
        return datagrams

    return make


def test_the_same_traffic_gives_the_same_names_and_numbers(servers):
    found = servers.feed(traffic(1, MAKERS) if servers.legacy else traffic(2, [*MAKERS, tagged]))
    etsys = found.pop("etsy")
    assert len(others(etsys[0])) > 500
    assert sum(".rough." in name and ".histogram." in name for name in others(etsys[0])) == 16
    for engine, ours in found.items():
        for etsy, our in zip(etsys, ours, strict=True):
            assert others(our) == others(etsy), engine
            unequal = {name: (etsy[name], our[name]) for name in others(etsy) if not same(name, etsy[name], our[name])}
            assert unequal == {}, engine
        for own in ("statsd.packets_received", "statsd.bad_lines_seen"):
            assert ours[0][servers.count_name(own)] == etsys[0][servers.count_name(own)] > 20


def others(flush):
    """Return the names that are not the server's own."""
    return {name for name in flush if "statsd." not in name}


def same(name, etsy, our):
    # etsy adds up one by one; fsum is right to the last bit.
    if ".rough." in name or ".std" in name:
        return math.isclose(etsy, our, rel_tol=1e-12)
    return etsy == our


# What `protocol` says is different on purpose: {line: ({leaf: etsy's number}, {leaf: ours})}.

DIFFERENCES = {
    "unknown:5|zz": ({"count": 5}, {}),
    "histogram:5|h": ({"count": 5}, {"timer": 5}),
    "distribution:5|d": ({"count": 5}, {"timer": 5}),
    "key_value:5|kv": ({"count": 5}, {"value": 5}),
    "rate_above_1:6|c|@2": ({"count": 3}, {}),
    "rate_0:1|c|@0": ({"count": math.inf}, {}),
    "exponent:1|c|@1e-1": ({"count": 1}, {"count": 10}),
    "hexadecimal:0x10|c": ({"count": 16}, {}),
    "infinite:Infinity|g": ({"gauge": math.inf}, {}),
    "negative:-5|ms": ({}, {"timer": -5}),
    "members:|s:0|s": ({"set": 1}, {"set": 2}),
    "rate_after_tags:1|c|#a:b|@0.5": ({"count": 1}, {"count": 2}),
    "empty..part:1|g": ({"gauge": 1}, {}),
    "packed:1:2|c": ({"count": 2}, {"count": 3}),
    "one_bad:1|c:x|c:2|c": ({"count": 3}, {}),
    "broken:1|cb:4|ms": ({"count": 1, "timer": 4}, {}),
    "colon::in.a.name:5|g": ({"gauge": 5}, {}),
    "field_after_rate:1|c|@0.5|x": ({"count": 2}, {}),
}


def test_differences_are_those_that_are_documented(servers):
    found = servers.feed(lambda run: ["\n".join(f"{run}.{line}" for line in DIFFERENCES).encode()])
    for who, (flush, _) in found.items():
        for line, (theirs, own) in DIFFERENCES.items():
            assert (who, line, reported(flush, line)) == (who, line, theirs if who == "etsy" else own)


def reported(flush, line):
    """Return what a flush says about the bucket of a line, by kind."""
    bucket = re.escape(line.partition(":")[0])
    kinds = {
        "count": rf"(stats\.counters|stats_counts)\.\w+\.{bucket}(\.count)?",
        "timer": rf"stats\.timers\.\w+\.{bucket}\.upper",
        "gauge": rf"stats\.gauges\.\w+\.{bucket}",
        "set": rf"stats\.sets\.\w+\.{bucket}\.count",
        "value": rf"stats\.kv\.\w+\.{bucket}",
    }
    return {
        kind: number
        for kind, pattern in kinds.items()
        for name, number in flush.items()
        if re.fullmatch(rf"{pattern}\.{SUFFIX}(;.*)?", name)
    }


def test_tags_without_a_value_differ(servers):
    if servers.legacy:
        pytest.skip("tags are dropped there")
    found = servers.feed(lambda run: [f"{run}.a:1|c|#urgent\n{run}.b:1|c|#key:\n{run}.c,host=x:1|c".encode()])
    tails = {
        who: {name.partition(".count.")[2] for name in flush if ".count." in name} for who, (flush, _) in found.items()
    }
    assert tails.pop("etsy") >= {f"{SUFFIX};urgent", f"{SUFFIX};key="}
    for names in tails.values():
        assert names == {SUFFIX, f"{SUFFIX};urgent=true", f"{SUFFIX};host=x"}


def test_idle_buckets_fall_silent_after_as_many_flushes_as_with_etsy(etsy_folder, tmp_path):
    flushes = 2
    idle = {"delete_idle": ["counters", "timers", "gauges", "sets"], "gauge_flushes": flushes}
    servers = Servers(etsy_folder, tmp_path, False, {"deleteIdleStats": True, "gaugesMaxTTL": flushes}, idle)
    try:
        servers.send([b"c:1|c\nt:1|ms\ng:1|g\ns:x|s"])
        names = ["counters.c.count", "timers.t.count", "sets.s.count", "gauges.g"]
        found = {
            who: [servers.times(who, f"stats.{name}.{SUFFIX}", flushes) for name in names] for who in servers.carbons
        }
        assert set(map(tuple, found.values())) == {(1, 1, 1, flushes)}, found
    finally:
        servers.close()
