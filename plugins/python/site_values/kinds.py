"""The kinds of values that roles/*/meta/values.yml names, each as a reader (graphing.core.config.Reader).

A reader takes a value of the right type and raises ValueError with what to write instead. What the aggregator and the
watchdog read themselves is read here by the same readers: `statsd.toml statsd.prefix`, `checks.toml disk.hours`.
"""

from __future__ import annotations

import ipaddress
import re
import runpy
import shlex
import zoneinfo
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from graphing.checks.settings import CheckSettings as Checks
from graphing.core.config import Reader, number, text, whole
from graphing.statsd.settings import StatsdSettings as Statsd
from site_values.network import problem

FILES: Mapping[str, Any] = {"statsd.toml": Statsd, "checks.toml": Checks}

HANDED_OVER = ("of the playbook", "of the roles")
"""Kinds of variables that no person sets: playbooks/site.yml adds them up, or a role gives them to another."""

MOST_TEXT = 1000

_CARBON_RULES = runpy.run_path(str(Path(__file__).resolve().parents[3] / "roles/carbon/filter_plugins/carbon_rules.py"))

_LEVEL = r"[A-Za-z0-9_-]{1,100}"
_HOST_PATH = r"/[A-Za-z0-9_./@+=,:~-]{1,250}"
_CONTROLLER_PATH = r"[/~][^\"'\\{}$]{1,500}"
_NAME = r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63}){0,10}"


def _or_empty(kind: Reader) -> Reader:
    def read(value: object) -> object:
        try:
            return value if value == "" else kind(value)
        except ValueError as error:
            raise ValueError(f'{error}, or be ""') from error

    return read


def _network(value: object) -> object:
    if wrong := problem(value):
        raise ValueError(wrong)
    return value


def _address(value: object) -> object:
    try:
        ipaddress.ip_address(str(value))
    except ValueError as error:
        raise ValueError("must be an IP address, like 192.0.2.10") from error
    if "%" in str(value):
        raise ValueError("must be an IP address without a zone")
    return value


def _time_zone(value: object) -> object:
    remedy = "must be a time zone, like UTC or Europe/Berlin"
    text(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}", remedy)(value)
    known = zoneinfo.available_timezones()
    if known and value not in known:
        raise ValueError(remedy)
    return value


def _controller_file(value: object) -> object:
    text(_CONTROLLER_PATH, 'must be the whole path of a file of this computer, like "{{ inventory_dir }}/mine.yml"')(
        value
    )
    if not Path(str(value)).expanduser().is_file():
        raise ValueError("is not a file on this computer")
    return value


def _command_line(value: object) -> object:
    try:
        words = shlex.split(str(value))
    except ValueError as error:
        raise ValueError("must be a command as one types it, with each quote closed") from error
    if not words:
        raise ValueError("must be a command as one types it, like ssh -i /root/.ssh/backup")
    return value


def _retention(value: object) -> object:
    if found := _CARBON_RULES["retention_problems"](value):
        raise ValueError("; ".join(found))
    return value


def _kernel_settings(value: object) -> object:
    name = re.compile(r"[a-z0-9_]+([./][A-Za-z0-9_:*@-]+)+").fullmatch
    for key, found in dict(value).items():  # type: ignore[call-overload]  # a dict: its type was looked at
        if not name(str(key)):
            raise ValueError(f"{key!r} must be a name of sysctl, like net.core.somaxconn")
        whole_number = isinstance(found, int) and not isinstance(found, bool)
        if not whole_number and not (isinstance(found, str) and re.fullmatch(r"[!-~]([ -~]{0,250}[!-~])?", found)):
            raise ValueError(f"{key} must be a whole number, or text of one line")
    return value


def _text(shortest: int, longest: int) -> Reader:
    def read(value: object) -> object:
        if len(str(value)) < shortest:
            raise ValueError(f"is shorter than {shortest} characters" if shortest > 1 else "must not be empty")
        if len(str(value)) > longest:
            raise ValueError(f"must not be longer than {longest} characters")
        return value

    return read


def _secret(shortest: int) -> Reader:
    def read(value: object) -> object:
        if str(value) != str(value).strip():
            raise ValueError("begins or ends with a blank: leave it out")
        try:
            return _text(shortest, MOST_TEXT)(value)
        except ValueError as error:
            raise ValueError(f"{error}. Take it out to have one generated") from error

    return read


_ON_HOST = "must be an absolute path on the host, of letters, digits and . _ - @ + = , : ~"
_HERE = "must be a whole path of this computer without quotes, \\, $ and braces"

KINDS: Mapping[str, Reader] = {
    "any": lambda value: value,
    "rule": lambda value: value,  # carbon_rules.py knows what to write instead
    "text": _text(1, MOST_TEXT),
    "text or empty": _text(0, MOST_TEXT),
    "full name or empty": _text(0, 150),
    "banner or empty": text(r"[^\\]{0,5000}", "must be text without \\, which the console takes for an escape"),
    "port": whole(1, 65535),
    "port or 0": whole(0, 65535),
    "network": _network,
    "address or empty": _or_empty(_address),
    "host": text(r"[A-Za-z0-9_.:-]{1,255}", "must be an address or a host name"),
    "allowed host": text(
        rf"\*|\.?{_NAME}|\[[0-9A-Fa-f:.]{{2,45}}\]",
        "must be a name or an address, .example.org for all below it, [::1] for IPv6, or *",
    ),
    "level": text(_LEVEL, "must be letters, digits, _ and -: dots would be levels of the tree"),
    "levels": text(
        rf"(?=.{{1,100}}$){_LEVEL}(\.{_LEVEL})*", "must be levels of letters, digits, _ and -, separated by dots"
    ),
    "address and port": text(
        r"([0-9.]{7,15}|\[[0-9a-f:.]{2,45}\]):[0-9]{1,5}",
        "must be ADDRESS:PORT, such as 127.0.0.1:8125 or [::1]:8125",
    ),
    "unit name": text(r"[a-z0-9-]{1,100}", "must be small letters, digits and dashes"),
    "host path": text(_HOST_PATH, _ON_HOST),
    "host path or empty": text(rf"({_HOST_PATH})?", f'{_ON_HOST}, or ""'),
    "socket or empty": text(r"(/[A-Za-z0-9_./@+=,:~-]{0,99}[A-Za-z0-9_@+=,:~-])?", f'{_ON_HOST}, 101 at most, or ""'),
    "controller path": text(_CONTROLLER_PATH, f'{_HERE}, like "{{{{ inventory_dir }}}}/mine"'),
    "controller path or empty": text(rf"({_CONTROLLER_PATH})?", f'{_HERE}, or ""'),
    "controller file": _controller_file,
    "repository": text(
        rf"{_HOST_PATH}|ssh://[A-Za-z0-9_.@:\[\]-]+{_HOST_PATH}",
        "give a directory of the host (/...) or ssh://USER@HOST/DIRECTORY",
    ),
    "command line": _command_line,
    "size": text(r"[0-9]{1,6}(\.[0-9]{1,3})?[KMGTP]|0", "must be a size, like 500M or 1G, or 0"),
    "account": text(
        r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}", "must be letters, digits and . _ + -, 100 at most, no . or - first"
    ),
    "e-mail or empty": text(r"([^\s@\"'<>]{1,64}@[^\s@\"'<>]{1,180})?", 'must be an e-mail address, or ""'),
    "retention": _retention,
    "time zone": _time_zone,
    "kernel settings": _kernel_settings,
}


def reader(kind: str, numeric: type = int) -> Reader:
    """The reader of a kind as values.yml names it; KeyError for one that there is not.

    Besides KINDS: `3 to 7` and `above 0 to 7` (numbers of the variable's type), `secret of 8` (characters at least),
    and a key of a file, `statsd.toml statsd.prefix`.
    """
    if kind in KINDS:
        return KINDS[kind]
    if found := re.fullmatch(r"secret of (\d+)", kind):
        return _secret(int(found[1]))
    if found := re.fullmatch(r"(above )?([\d.]+) to ([\d.]+)", kind):
        return _range(bool(found[1]), float(found[2]), float(found[3]), numeric)
    file, _, key = kind.partition(" ")
    return setting_reader(file, *key.split("."))


def _range(above: bool, low: float, high: float, numeric: type) -> Reader:
    if numeric is int:
        return whole(int(low), int(high))
    if above:
        return number(lambda n: low < n <= high, f"must be a number above {low:g} and at most {high:g}")
    return number(lambda n: low <= n <= high, f"must be a number from {low:g} to {high:g}")


def setting_reader(file: str, table: str, key: str) -> Reader:
    """The reader of a key of a file that one of our own programs reads; KeyError if it does not know the key."""
    read: Reader = _tables(file)[table][key]
    return read


def setting_tables(file: str) -> dict[str, list[str]]:
    """The tables of such a file, with their keys."""
    return {table: list(keys) for table, keys in _tables(file).items()}


def _tables(file: str) -> dict[str, dict[str, Reader]]:
    return {table.name: _readers(table.type) for table in fields(FILES[file])}


def _readers(table: Any) -> dict[str, Reader]:
    return {key.name: key.metadata["read"] for key in fields(table)}
