"""The environment variables of the forum as one typed value.

This is the only place that reads them. An error names the variable and the value it was given,
except for the secret key, which is never shown.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SECRET_KEY_MIN = 16
_PREFIX = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_BIND = re.compile(r"unix:/.+|fd://\d+|(\[[0-9A-Fa-f:.]+\]|[^:/\s\[\]]+):(?P<port>\d{1,5})")


class SettingsError(ValueError):
    """A variable that is missing or cannot mean anything."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the forum needs to know before it can start."""

    secret_key: str = field(repr=False)
    database: Path = Path("photoworld.sqlite3")
    bind: str = "127.0.0.1:8090"
    workers: int = 2
    behind_proxy: bool = False
    keep_threads: int = 0
    """Threads beyond this number are deleted, longest without a post first; 0 keeps all."""
    statsd_host: str = "127.0.0.1"
    statsd_port: int = 8125
    statsd_prefix: str = "photoworld"


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Read the settings, or raise a SettingsError that names the variable."""
    default = Settings(secret_key="")
    return Settings(
        secret_key=_secret_key(environ),
        database=Path(_text(environ, "PHOTOWORLD_DATABASE", str(default.database))),
        bind=_bind(environ, default.bind),
        workers=_integer(environ, "PHOTOWORLD_WORKERS", default.workers, 1, 64),
        behind_proxy=_flag(environ, "PHOTOWORLD_BEHIND_PROXY"),
        keep_threads=_integer(environ, "PHOTOWORLD_KEEP_THREADS", default.keep_threads, 0, 10_000_000),
        statsd_host=_text(environ, "PHOTOWORLD_STATSD_HOST", default.statsd_host),
        statsd_port=_integer(environ, "PHOTOWORLD_STATSD_PORT", default.statsd_port, 1, 65535),
        statsd_prefix=_prefix(environ, default.statsd_prefix),
    )


def _secret_key(environ: Mapping[str, str]) -> str:
    value = environ.get("PHOTOWORLD_SECRET_KEY", "").strip()
    if not value:
        raise SettingsError("PHOTOWORLD_SECRET_KEY is not set: give it a long random text, it signs the cookies")
    if len(value) < SECRET_KEY_MIN:
        raise SettingsError(f"PHOTOWORLD_SECRET_KEY is shorter than {SECRET_KEY_MIN} characters")
    return value


def _text(environ: Mapping[str, str], name: str, default: str) -> str:
    value = environ.get(name, default).strip()
    if not value:
        raise SettingsError(f"{name} is empty")
    return value


def _integer(environ: Mapping[str, str], name: str, default: int, lowest: int, highest: int) -> int:
    text = environ.get(name, str(default)).strip()
    if not re.fullmatch(r"[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
        raise SettingsError(f"{name}={text!r} is not a whole number from {lowest} to {highest}")
    return int(text)


def _flag(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name, "0").strip()
    if text not in ("0", "1"):
        raise SettingsError(f"{name}={text!r} is neither 0 nor 1")
    return text == "1"


def _bind(environ: Mapping[str, str], default: str) -> str:
    text = _text(environ, "PHOTOWORLD_BIND", default)
    match = _BIND.fullmatch(text)
    if not match or int(match["port"] or 0) > 65535:
        raise SettingsError(f"PHOTOWORLD_BIND={text!r} is neither host:port nor unix:/path")
    return text


def _prefix(environ: Mapping[str, str], default: str) -> str:
    text = _text(environ, "PHOTOWORLD_STATSD_PREFIX", default)
    if not _PREFIX.fullmatch(text) or len(text) > 100:
        raise SettingsError(f"PHOTOWORLD_STATSD_PREFIX={text!r} is not a dotted name of letters, digits, '_' and '-'")
    return text
