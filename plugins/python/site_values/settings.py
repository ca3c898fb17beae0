"""statsd_settings and statsd_tables: keys of the aggregator's file that have no variable of their own."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from site_values.kinds import setting_reader, setting_tables

# What roles/statsd/templates/statsd.toml.j2 writes otherwise than a variable's kind says.
OF_THE_ROLE = {
    "statsd.engine": "statsd_compiled",
    "statsd.unix_socket": "statsd_unix_socket",
    "statsd.state_file": "",
    "statsd.datagram_log": "",
    "carbon.journal": "",
}


def taken(kinds: Mapping[str, str]) -> dict[str, str]:
    """Keys of the file that the role writes itself, each with the variable that says what; "" where none does."""
    own = {kind.split(" ")[1]: name for name, kind in kinds.items() if kind.startswith("statsd.toml ")}
    return OF_THE_ROLE | own


def problems(where: str, value: Any, kinds: Mapping[str, str], *, alone: bool) -> Iterator[str]:
    """What is wrong with keys of one table, [statsd] (`alone`), or with tables."""
    if alone:
        yield from _table_problems(where, "statsd", value, kinds)
        return
    known = [table for table in setting_tables("statsd.toml") if table != "statsd"]
    for table, keys in value.items():
        if table == "statsd":
            yield f"{where}.statsd: set it in statsd_settings"
        elif table not in known:
            yield f"{where}.{table} is no table of the aggregator; {_hint(str(table), known)}"
        elif not isinstance(keys, dict):
            yield f"{where}.{table} {keys!r}: must be a dictionary: write {{KEY: VALUE}}"
        else:
            yield from _table_problems(f"{where}.{table}", table, keys, kinds)


def _table_problems(where: str, table: str, keys: Mapping[Any, Any], kinds: Mapping[str, str]) -> Iterator[str]:
    known, own = setting_tables("statsd.toml")[table], taken(kinds)
    for key, value in keys.items():
        name = f"{table}.{key}"
        if name in own:
            yield f"{where}.{key}: {f'set {own[name]} instead' if own[name] else 'the role sets it: leave it out'}"
        elif key not in known:
            free = [key for key in known if f"{table}.{key}" not in own]
            yield f"{where}.{key} is no setting of the aggregator; {_hint(str(key), free)}"
        else:
            yield from _value_problems(f"{where}.{key}", table, key, value)


def _value_problems(where: str, table: str, key: str, value: object) -> Iterator[str]:
    try:
        setting_reader("statsd.toml", table, key)(value)
    except ValueError as error:
        yield f"{where} {value!r}: {error}"


def _hint(found: str, known: list[str]) -> str:
    close = difflib.get_close_matches(found, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
