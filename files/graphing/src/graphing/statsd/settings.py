"""The settings of `graphing statsd`: `statsd.example.toml` says what each means."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from graphing.core.config import BadSetting, flag, list_of, load, loads, number, one_of, setting, table_of, text, whole
from graphing.statsd.model.naming import Naming, conflict_in_plain, etsy, legacy, plain
from graphing.statsd.model.protocol import Kind
from graphing.statsd.model.reference import BucketRules

_SEGMENT = r"[A-Za-z0-9_-]{1,100}"
_NAME = rf"{_SEGMENT}(\.{_SEGMENT}){{0,9}}"
_name = text(_NAME, "must be a name: letters, digits, _ and -, parts joined by dots")
_name_or_empty = text(f"({_NAME})?", 'must be "" or a name: letters, digits, _ and -, parts joined by dots')
_host = text(r"[A-Za-z0-9_.:%-]{1,255}", "must be an address or a host name")
_bucket_pattern = text(r"[^\0\n]{0,255}", "must be a part of a bucket's name")
_path_or_empty = text(r"(/[^\0]*[^\0/])?", 'must be an absolute path, or ""')
_server = text(
    r"(\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9_.-]{1,255})"
    r":(?!0)([0-9]{1,4}|[0-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])",
    "must be HOST:PORT, or [ADDRESS]:PORT for IPv6",
)
_percentile = number(
    lambda p: 0.001 <= abs(p) < 100, "must be numbers between -100 and 100, not closer to 0 than 0.001"
)

_bin = number(lambda _: True, "must be numbers; inf for the last", infinite=True)


@dataclass(frozen=True)
class Histogram:
    """The bins of the timers whose bucket contains `match`; none switches histograms off for them."""

    match: str = setting("", _bucket_pattern)
    bins: tuple[float, ...] = setting((), list_of(_bin))


@dataclass(frozen=True)
class StatsdSection:
    """Receiving, aggregating and naming."""

    listen: str = setting("0.0.0.0", _host)  # noqa: S104 - behind the host's firewall, as every peer
    port: int = setting(8125, whole(1, 65535))
    tcp: bool = setting(False, flag)
    unix_socket: str = setting("", _path_or_empty)
    receive_buffer: int = setting(8 * 1024 * 1024, whole(4096, 1024**3))
    engine: str = setting("auto", one_of("auto", "compiled", "python"))
    interval: int = setting(10, whole(1, 3600))
    percentiles: tuple[float, ...] = setting((90,), list_of(_percentile))
    histograms: tuple[Histogram, ...] = setting((), list_of(table_of(Histogram)))
    tags: str = setting("drop", one_of("drop", "graphite"))
    namespace: str = setting("plain", one_of("plain", "etsy", "legacy"))
    prefix: str = setting("stats", _name_or_empty)
    suffix: str = setting("", _name_or_empty)
    prefix_counter: str = setting("counters", _name_or_empty)
    prefix_timer: str = setting("timers", _name_or_empty)
    prefix_gauge: str = setting("gauges", _name_or_empty)
    prefix_set: str = setting("sets", _name_or_empty)
    health_prefix: str = setting("statsd", _name)
    flush_counts: bool = setting(True, flag)
    delete_idle: tuple[str, ...] = setting((), list_of(one_of(Kind.COUNTER, Kind.TIMER, Kind.GAUGE, Kind.SET)))
    gauge_flushes: int = setting(0, whole(0, 1_000_000))
    max_buckets: int = setting(250_000, whole(1, 100_000_000))
    max_values: int = setting(100_000, whole(1, 100_000_000))
    dump_messages: bool = setting(False, flag)
    state_file: str = setting("/var/lib/graphing-statsd/state.json", _path_or_empty)
    datagram_log: str = setting("/run/graphing-statsd/datagrams", _path_or_empty)

    def naming(self) -> Naming:
        """Return the configured namespace."""
        if self.namespace == "plain":
            return plain(self.prefix, self.health_prefix, self.flush_counts)
        if self.namespace == "legacy":
            return legacy(self.suffix, self.health_prefix, self.flush_counts)
        prefixes = {
            Kind.COUNTER: self.prefix_counter,
            Kind.TIMER: self.prefix_timer,
            Kind.GAUGE: self.prefix_gauge,
            Kind.SET: self.prefix_set,
        }
        return etsy(self.prefix, self.suffix, prefixes, self.health_prefix, self.flush_counts)

    def rules(self) -> BucketRules:
        """Return what the engine must know."""
        forget = frozenset(map(Kind, self.delete_idle))
        rules = BucketRules(
            forget=forget - {Kind.GAUGE} if self.gauge_flushes else forget,
            gauge_flushes=self.gauge_flushes,
            max_buckets=self.max_buckets,
            max_values=self.max_values,
            tags=self.tags == "graphite",
        )
        if self.namespace != "plain":
            return rules
        conflict = conflict_in_plain(self.prefix, self.health_prefix, self.percentiles, self.histograms)
        return replace(rules, conflict=conflict)


@dataclass(frozen=True)
class CarbonSection:
    """Where the lines go."""

    host: str = setting("127.0.0.1", _host)
    port: int = setting(2003, whole(1, 65535))
    journal: str = setting("/var/lib/graphing-statsd/journal", _path_or_empty)
    journal_bytes: int = setting(1024**3, whole(1024**2, 1024**5))
    journal_seconds: int = setting(86_400, whole(60, 31_536_000))
    replay_seconds: int = setting(600, whole(0, 86_400))
    replay_rate: int = setting(50_000, whole(100, 100_000_000))
    watch: tuple[str, ...] = setting((), list_of(_server))


@dataclass(frozen=True)
class ConsoleSection:
    """The management console, see etsy/statsd's docs/admin_interface.md, and the page of health beside it."""

    host: str = setting("127.0.0.1", _host)
    port: int = setting(8126, whole(0, 65535))
    http_port: int = setting(8127, whole(0, 65535))


@dataclass(frozen=True)
class KeyFlushSection:
    """The log of the busiest buckets."""

    interval: int = setting(0, whole(0, 86_400))
    percent: float = setting(100, number(lambda p: 0 < p <= 100, "must be above 0 and up to 100"))
    file: str = setting("", _path_or_empty)


@dataclass(frozen=True)
class RepeaterSection:
    """Other StatsD servers that get a copy of what comes in."""

    servers: tuple[str, ...] = setting((), list_of(_server))
    protocol: str = setting("udp", one_of("udp", "tcp"))


@dataclass(frozen=True)
class StatsdSettings:
    """A whole file."""

    statsd: StatsdSection = field(default_factory=StatsdSection)
    carbon: CarbonSection = field(default_factory=CarbonSection)
    console: ConsoleSection = field(default_factory=ConsoleSection)
    key_flush: KeyFlushSection = field(default_factory=KeyFlushSection)
    repeater: RepeaterSection = field(default_factory=RepeaterSection)


def read_settings(path: Path) -> StatsdSettings:
    """Read and check a file; raise ConfigError with everything that is wrong."""
    return load(path, StatsdSettings, _contradictions)


def check_settings(content: str, path: Path) -> StatsdSettings:
    """Check what is to be written to a file, as `read_settings` does."""
    return loads(content, path, StatsdSettings, _contradictions)


def _contradictions(settings: StatsdSettings) -> Iterator[BadSetting]:
    statsd, console = settings.statsd, settings.console
    if console.port and console.port == console.http_port:
        yield BadSetting("console.http_port", console.http_port, "must differ from console.port")
    if statsd.namespace == "plain":
        if statsd.health_prefix == statsd.prefix:
            yield BadSetting("statsd.health_prefix", statsd.health_prefix, "must differ from statsd.prefix")
        if statsd.suffix:
            # Carbon's roll-up rules go by the last part of a name.
            yield BadSetting("statsd.suffix", statsd.suffix, 'must be "" in namespace "plain": roll-ups go by the leaf')
