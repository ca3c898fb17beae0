"""TOML files to typed, frozen settings; every mistake is named, all of them at once.

A daemon declares a dataclass per TOML table, one field per key, each made by `setting()`, and one
dataclass that holds the tables. This module never guesses: an unknown key is an error, and so is
a value of the wrong type.
"""

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
Reader = Callable[[object], Any]
"""Takes a TOML value and returns the setting; raises ValueError with the remedy."""


class BadSetting(NamedTuple):
    """One thing wrong with a file: the dotted key, its value as found, and what to write instead."""

    key: str
    value: object
    remedy: str


class ConfigError(Exception):
    """Everything wrong with one file; `str()` gives one line per complaint."""

    def __init__(self, path: Path, complaints: Iterable[BadSetting]) -> None:
        self.path = path
        self.complaints = tuple(complaints)
        super().__init__("\n".join(self._line(c) for c in self.complaints))

    def _line(self, complaint: BadSetting) -> str:
        if not complaint.key:
            return f"{self.path}: {complaint.remedy}"
        return f"{self.path}: {complaint.key} = {_shown(complaint.value)}: {complaint.remedy}"


def setting(default: Any, read: Reader) -> Any:
    """Declare a key: its default and the reader that checks what the file says."""
    return dataclasses.field(default=default, metadata={"read": read})


def load(path: Path, tables: type[T], check: Callable[[T], Iterable[BadSetting]] = lambda _: ()) -> T:
    """Read `path` into the dataclass `tables`; `check` looks for keys that contradict each other.

    Raises ConfigError. `check` runs only when every key is good by itself.
    """
    return loads(_content(path), path, tables, check)


def loads(content: str, path: Path, tables: type[T], check: Callable[[T], Iterable[BadSetting]] = lambda _: ()) -> T:
    """Read the content of a file as `load` does; `path` is what complaints call it."""
    document = _parse(content, path)
    complaints: list[BadSetting] = []
    fields = {field.name: field for field in dataclasses.fields(tables)}  # type: ignore[arg-type]  # T has no bound that says dataclass
    complaints += _unknown("", document, fields)
    values = {}
    for name, field in fields.items():
        table = document.get(name, {})
        if isinstance(table, dict):
            values[name] = _read_table(name, field.type, table, complaints)
        else:
            complaints.append(BadSetting(name, table, f"must be a table: write [{name}]"))
    if not complaints:
        result = tables(**values)
        complaints += check(result)
    if complaints:
        raise ConfigError(path, sorted(complaints, key=lambda complaint: complaint.key))
    return result


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(path, [BadSetting("", None, f"can't be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(path, [BadSetting("", None, f"is not UTF-8 text: {error.reason}")]) from error


def _parse(content: str, path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, [BadSetting("", None, f"is not valid TOML: {error}")]) from error


def _read_table(table: str, kind: Any, found: dict[str, object], complaints: list[BadSetting]) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    complaints += _unknown(f"{table}.", found, fields)
    values = {}
    for name in fields.keys() & found.keys():
        try:
            values[name] = fields[name].metadata["read"](found[name])
        except ValueError as error:
            complaints.append(BadSetting(f"{table}.{name}", found[name], str(error)))
    return kind(**values)


def _unknown(prefix: str, found: dict[str, object], known: Iterable[str]) -> Iterable[BadSetting]:
    names = sorted(known)
    for name in sorted(found.keys() - set(names)):
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {prefix}{close[0]}?" if close else f"known here: {', '.join(names)}"
        yield BadSetting(f"{prefix}{name}", found[name], f"unknown key; {hint}")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."


def whole(low: int, high: int) -> Reader:
    """Read a whole number from `low` to `high`, both included."""

    def read(value: object) -> int:
        # bool is an int for Python, but `port = true` is a mistake.
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return read


def number(accept: Callable[[float], bool], remedy: str, infinite: bool = False) -> Reader:
    """Read a number that `accept` likes: a finite one, or infinity too."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(remedy)
        if infinite and value == float("inf"):
            return float("inf")
        # The range keeps out infinities, what is not a number, and integers that no float can hold.
        if not -1e300 < value < 1e300 or not accept(value):
            raise ValueError(remedy)
        return value

    return read


def text(pattern: str, remedy: str) -> Reader:
    """Read a string that matches the whole of `pattern`."""
    matches = re.compile(pattern).fullmatch

    def read(value: object) -> str:
        if not isinstance(value, str) or not matches(value):
            raise ValueError(remedy)
        return value

    return read


def one_of(*choices: str) -> Reader:
    """Read one of some words."""
    remedy = "must be one of " + ", ".join(f'"{choice}"' for choice in choices)

    def read(value: object) -> str:
        if value not in choices:
            raise ValueError(remedy)
        return str(value)

    return read


def flag(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def list_of(read_item: Reader) -> Reader:
    """Read a list without repetitions."""

    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError("must be a list: write [ ... ]")
        items = tuple(read_item(item) for item in value)
        if len(set(items)) < len(items):
            raise ValueError("must not name anything twice")
        return items

    return read


def table_of(kind: Any) -> Reader:
    """Read an inline table whose keys are the settings of the dataclass `kind`."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    example = ", ".join(f"{name} = ..." for name in fields)

    def read(value: object) -> Any:
        if not isinstance(value, dict) or value.keys() - fields.keys():
            raise ValueError(f"must be tables: write {{{example}}}")
        return kind(**{name: fields[name].metadata["read"](found) for name, found in value.items()})

    return read
