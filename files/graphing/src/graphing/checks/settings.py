"""The settings of `graphing doctor` and `graphing watchdog`: `checks.example.toml` says what each means."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from graphing.core.config import BadSetting, list_of, load, number, setting, table_of, text, whole

_path = text(r"/[^\0]*[^\0/]|/", "must be an absolute path")
_path_or_empty = text(r"(/[^\0]*[^\0/])?", 'must be an absolute path, or ""')
_name = text(r"[A-Za-z0-9_.@-]{1,100}", "must be letters, digits and _ . @ -")
_url_text = text(
    r"(https?://[!-.0-~][!-~]*)?", 'must begin with http:// or https://, letters beyond ASCII written as %XX, or be ""'
)
_render = text(
    r"(unix:/[^\0]*[^\0/]|http://[^\s/]+)?", 'must be unix:PATH or http://HOST:PORT of the web application, or ""'
)


def _url_or_empty(value: object) -> str:
    """An address that can be asked: urllib refuses others only when it asks."""
    url: str = _url_text(value)
    try:
        known = not url or (urlsplit(url).hostname and urlsplit(url).port != 0)
    except ValueError:
        known = False
    if not known:
        raise ValueError("must name a host, and a port from 1 to 65535 if any")
    return url


_word = text(r"[^\0]+", "must be the words of a command, each a string")
_seconds = number(lambda seconds: seconds > 0, "must be a number of seconds above 0")


@dataclass(frozen=True)
class CheckedStatsd:
    """The aggregator of this host."""

    config: str = setting("/etc/graphing/statsd.toml", _path_or_empty)


@dataclass(frozen=True)
class CheckedCache:
    """One carbon-cache."""

    name: str = setting("a", _name)
    query_port: int = setting(7002, whole(1, 65535))


@dataclass(frozen=True)
class CheckedCarbon:
    """The relay and the caches of this host, and what they write."""

    port: int = setting(2003, whole(0, 65535))
    caches: tuple[CheckedCache, ...] = setting((CheckedCache(),), list_of(table_of(CheckedCache)))
    cache_points: int = setting(2_000_000, whole(1, 10**12))
    whisper: str = setting("/var/lib/graphite/whisper", _path)
    disk_reserve: int = setting(0, whole(0, 10**15))
    interval: int = setting(10, whole(1, 86_400))


@dataclass(frozen=True)
class Web:
    """Where people come in, and where graphs are made."""

    url: str = setting("http://localhost:80", _url_or_empty)
    render: str = setting("unix:/run/graphite-web.sock", _render)


@dataclass(frozen=True)
class Certificate:
    """When to renew the certificate."""

    file: str = setting("", _path_or_empty)
    days: int = setting(21, whole(1, 3650))


@dataclass(frozen=True)
class Disk:
    """The file systems that must not fill up."""

    paths: tuple[str, ...] = setting(("/var/lib/graphite/whisper", "/var/lib/statsd"), list_of(_path))
    full_percent: float = setting(95, number(lambda p: 0 < p < 100, "must be above 0 and below 100"))
    hours: float = setting(48, number(lambda h: 0 < h <= 8760, "must be above 0 and at most 8760"))


@dataclass(frozen=True)
class Clock:
    """How far the clock may be off."""

    seconds: float = setting(1, _seconds)


@dataclass(frozen=True)
class Services:
    """What must run."""

    target: str = setting("graphing.target", _name)


@dataclass(frozen=True)
class WatchdogSection:
    """The daemon that looks again and again."""

    interval: float = setting(20, number(lambda s: 0.1 <= s <= 60, "must be from 0.1 to 60 seconds"))
    grace: float = setting(90, number(lambda s: 0 <= s <= 3600, "must be from 0 to 3600 seconds"))
    canary_seconds: float = setting(60, _seconds)
    silence_seconds: float = setting(120, _seconds)
    state_file: str = setting("/run/graphing-watchdog/watchdog.json", _path)
    command: tuple[str, ...] = setting((), list_of(_word))
    webhook: str = setting("", _url_or_empty)


@dataclass(frozen=True)
class CheckSettings:
    """A whole file."""

    statsd: CheckedStatsd = field(default_factory=CheckedStatsd)
    carbon: CheckedCarbon = field(default_factory=CheckedCarbon)
    web: Web = field(default_factory=Web)
    certificate: Certificate = field(default_factory=Certificate)
    disk: Disk = field(default_factory=Disk)
    clock: Clock = field(default_factory=Clock)
    services: Services = field(default_factory=Services)
    watchdog: WatchdogSection = field(default_factory=WatchdogSection)


def read_settings(path: Path) -> CheckSettings:
    """Read and check a file; raise ConfigError with everything that is wrong."""
    return load(path, CheckSettings, _contradictions)


def _contradictions(settings: CheckSettings) -> Iterator[BadSetting]:
    watchdog, interval = settings.watchdog, settings.carbon.interval
    if watchdog.canary_seconds < 2 * interval:
        yield BadSetting(
            "watchdog.canary_seconds",
            watchdog.canary_seconds,
            f"must be at least {2 * interval}, twice carbon.interval: a number waits for the end of its interval",
        )
