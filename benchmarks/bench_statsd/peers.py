"""The servers that are compared: how each is started, and which of the lines it sends are counters."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench_statsd import install
from bench_statsd.kernel import RECEIVE_BUFFER
from bench_statsd.load import FILLED, SINGLE
from bench_statsd.tools import BARE, ROOT, TroubleError, call


@dataclass(frozen=True)
class Place:
    """What one run of a server has for itself: folders, ports, and the seconds between its flushes."""

    folder: Path
    memory: Path
    udp: int
    carbon: int
    spare: int
    interval: int
    buckets: int


@dataclass(frozen=True)
class Server:
    """A server to measure. Counters in its lines begin and end as `counters` says; None: it sends no lines."""

    name: str
    version: str
    command: Callable[[Place], list[str]]
    counters: tuple[str, str] | None
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    # Metrics a second where the search for its highest rate begins.
    first_rate: Mapping[int, float] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """Whether it is this project's."""
        return self.name.startswith("ours")


def _first(single: float, filled: float) -> dict[int, float]:
    return {SINGLE: single, FILLED: filled}


def ours(engine: str) -> Server:
    """Return this project's aggregator with one of its engines, safe as in production."""
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        raise TroubleError(".venv is missing: run bin/venv")
    path = [str(ROOT / "files" / "graphing" / "src")]
    if engine == "compiled":
        path.append(str(_twin(python)))

    def command(place: Place) -> list[str]:
        journal = place.folder / "journal"
        journal.mkdir()
        settings = f"""\
[statsd]
listen = "127.0.0.1"
port = {place.udp}
receive_buffer = {RECEIVE_BUFFER}
engine = "{engine}"
interval = {place.interval}
max_buckets = {max(250_000, 2 * place.buckets)}
state_file = "{place.folder}/state.json"
datagram_log = "{place.memory}/datagrams"

[carbon]
host = "127.0.0.1"
port = {place.carbon}
journal = "{journal}"

[console]
port = 0
http_port = 0
"""
        return [str(python), "-m", "graphing", "statsd", "--config", _write(place, "statsd.toml", settings)]

    return Server(
        f"ours-{engine}",
        "this tree",
        command,
        ("stats.prod.", "_total.count"),
        environment={"PYTHONPATH": ":".join(path)},
        first_rate=_first(200_000, 1_000_000) if engine == "python" else _first(250_000, 3_500_000),
    )


def _twin(python: Path) -> Path:
    build = ROOT / "bin" / "twin"
    if not build.exists():
        raise TroubleError("bin/twin, which builds it, is missing")
    call([str(build)], 300)
    folder = ROOT / ".cache" / "twin"
    call([str(python), "-c", "import graphing_twin"], 30, environment={**os.environ, "PYTHONPATH": str(folder)})
    return folder


def etsy() -> Server:
    """Return etsy's statsd, the original."""
    folder = install.etsy()

    def command(place: Place) -> list[str]:
        settings = {
            **{"address": "127.0.0.1", "port": place.udp, "mgmt_address": "127.0.0.1", "mgmt_port": place.spare},
            **{"graphiteHost": "127.0.0.1", "graphitePort": place.carbon, "backends": ["./backends/graphite"]},
            **{"flushInterval": place.interval * 1000, "automaticConfigReload": False},
        }
        return ["node", "--no-deprecation", "stats.js", _write(place, "config.js", json.dumps(settings))]

    version = f"{install.ETSY_VERSION}, node {call(['node', '--version'], 10).strip()}"
    return Server("etsy", version, command, ("stats_counts.", "_total"), folder, first_rate=_first(25_000, 130_000))


def pystatsd() -> Server:
    """Return pystatsd's server."""
    folder = install.pystatsd()
    python = ROOT / ".venv" / "bin" / "python"

    def command(place: Place) -> list[str]:
        receive = ["--name=127.0.0.1", f"--port={place.udp}", f"--pidfile={place.folder}/pid"]
        send = ["--graphite-host=127.0.0.1", f"--graphite-port={place.carbon}", "--no-aggregate-counters"]
        flush = [f"--flush-interval={place.interval * 1000}"]
        return [str(python), "-W", "ignore", "pystatsd_server.py", *receive, *send, *flush]

    version = f"{install.PYSTATSD_VERSION}, made to run on Python 3"
    return Server("pystatsd", version, command, ("stats.prod.", "_total"), folder, first_rate=_first(32_000, 180_000))


def collectd() -> Server:
    """Return collectd with its plugins statsd and write_graphite alone."""
    root, version = install.collectd()

    def command(place: Place) -> list[str]:
        settings = f"""\
Hostname "host"
FQDNLookup false
BaseDir "{place.folder}"
PIDFile "{place.folder}/pid"
PluginDir "{root}/usr/lib/collectd"
TypesDB "{root}/usr/share/collectd/types.db"
Interval {place.interval}
LoadPlugin statsd
<LoadPlugin write_graphite>
 FlushInterval {min(1, place.interval / 5)}
</LoadPlugin>
<Plugin statsd>
 Host "127.0.0.1"
 Port "{place.udp}"
 CounterSum true
 TimerPercentile 90.0
 TimerLower true
 TimerUpper true
 TimerSum true
 TimerCount true
</Plugin>
<Plugin write_graphite>
 <Node "sink">
  Host "127.0.0.1"
  Port "{place.carbon}"
  Protocol "tcp"
  Prefix ""
  StoreRates true
  AlwaysAppendDS false
 </Node>
</Plugin>
"""
        return [f"{root}/usr/sbin/collectd", "-f", "-C", _write(place, "collectd.conf", settings)]

    return Server(
        *("collectd", version, command, ("host.statsd.count-", "_total")),
        environment=install.libraries(root),
        first_rate=_first(40_000, 650_000),
    )


def netdata() -> Server:
    """Return netdata with nothing on but its statsd server and what shows its charts; it flushes every second."""
    root, version = install.netdata()

    def command(place: Place) -> list[str]:
        for name in ("cache", "lib", "log", "etc"):
            (place.folder / name).mkdir()
        off = (
            *("proc", "diskspace", "cgroups", "tc", "idlejitter", "timex", "apps", "python.d", "charts.d", "go.d"),
            *("node.d", "ebpf", "fping", "ioping", "slabinfo", "netdata monitoring", "profile"),
        )
        plugins = "\n".join(f" {plugin} = no" for plugin in off)
        settings = f"""\
[global]
 run as user = {_user()}
 hostname = host
[directories]
 config = {place.folder}/etc
 stock config = {root}/usr/lib/netdata/conf.d
 log = {place.folder}/log
 web = {root}/usr/share/netdata/web
 cache = {place.folder}/cache
 lib = {place.folder}/lib
 home = {place.folder}
 plugins = {root}/usr/lib/netdata/plugins.d
[logs]
 access = none
 debug = none
[db]
 mode = ram
 retention = 300
 update every = 1
[ml]
 enabled = no
[health]
 enabled = no
[cloud]
 enabled = no
[registry]
 enabled = no
[web]
 mode = static-threaded
 bind to = 127.0.0.1:{place.spare}
[plugins]
 enable running new plugins = no
{plugins}
 statsd = yes
[statsd]
 enabled = yes
 update every (flushInterval) = 1
 bind to = udp:127.0.0.1:{place.udp}
 default port = {place.udp}
 max private charts hard limit = 2000000
 create private charts for metrics matching = *
"""
        config = _write(place, "netdata.conf", settings)
        return [f"{root}/usr/sbin/netdata", "-D", "-c", config, "-P", f"{place.folder}/pid"]

    return Server(
        *("netdata", version, command, None),
        environment=install.libraries(root),
        first_rate=_first(200_000, 2_000_000),
    )


def statsite() -> Server:
    """Return statsite, if there is one. It hands its lines to a program at each flush: here the cheapest there is."""
    program = _installed("statsite")

    def command(place: Place) -> list[str]:
        settings = f"""\
[statsite]
port = {place.udp}
udp_port = {place.udp}
bind_address = 127.0.0.1
log_level = WARN
flush_interval = {place.interval}
timer_eps = 0.01
set_eps = 0.02
stream_cmd = exec bash -c 'exec cat >/dev/tcp/127.0.0.1/{place.carbon}'
pid_file = {place.folder}/pid
"""
        return [program, "-f", _write(place, "statsite.conf", settings)]

    first = _first(50_000, 600_000)
    return Server("statsite", program, command, ("counts.prod.", "_total"), first_rate=first)


def brubeck(workers: int = 1) -> Server:
    """Return brubeck, if there is one, with so many threads that receive."""
    program = _installed("brubeck")

    def command(place: Place) -> list[str]:
        here = {"address": "127.0.0.1"}
        backend = {"type": "carbon", **here, "port": place.carbon, "frequency": place.interval}
        sampler = {"type": "statsd", **here, "port": place.udp, "workers": workers}
        sampler |= {"multisock": workers > 1, "multimsg": 8}
        settings = {
            **{"sharding": False, "server_name": "brubeck", "dumpfile": f"{place.folder}/dump"},
            **{"capacity": 18, "expire": 20, "backends": [backend], "samplers": [sampler]},
        }
        return [program, f"--config={_write(place, 'brubeck.json', json.dumps(settings))}"]

    name = "brubeck" if workers == 1 else f"brubeck-{workers}"
    first = _first(250_000, 2_000_000)
    return Server(name, program, command, ("prod.", "_total"), first_rate=first)


def bare(milliseconds: int) -> Server:
    """Return the program that receives and throws away: at each arrival, or every so many milliseconds."""

    def command(place: Place) -> list[str]:
        return [str(BARE), str(place.udp), str(RECEIVE_BUFFER), str(milliseconds)]

    name = f"bare-{milliseconds}ms" if milliseconds else "bare-arrival"
    return Server(name, "", command, None)


BARE_ARRIVAL = bare(0)
BARE_CLOCK = bare(5)

ALL: Mapping[str, Callable[[], Server]] = {
    "ours-compiled": lambda: ours("compiled"),
    "ours-python": lambda: ours("python"),
    "etsy": etsy,
    "pystatsd": pystatsd,
    "collectd": collectd,
    "netdata": netdata,
    "statsite": statsite,
    "brubeck": brubeck,
    "brubeck-2": lambda: brubeck(2),
}


def _write(place: Place, name: str, text: str) -> str:
    path = place.folder / name
    path.write_text(text)
    return str(path)


def _user() -> str:
    return call(["id", "-un"], 10).strip()


def _installed(name: str) -> str:
    """Return the path of a program that has no package to install: from the environment, or on the PATH."""
    variable = name.upper()
    given = os.environ.get(variable)
    found = shutil.which(given or name)
    if found is None:
        raise TroubleError(f"{given} is not a program" if given else f"not on the PATH, and {variable}=/path not given")
    return str(Path(found).resolve())
