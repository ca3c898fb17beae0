"""What is wrong with the value of a variable: its type (argument_specs.yml), its kind (values.yml), its text.

Every sentence is `NAME VALUE: what is wrong, what to write`; the value of a secret is left out.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from site_values import settings
from site_values.kinds import HANDED_OVER, reader

Option = Mapping[str, Any]
Kinds = Mapping[str, str]

_NOUNS = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a dictionary"}
_TEXT: tuple[tuple[type, ...], str] = ((str,), 'must be text: put it in quotes, "...", without !unsafe')
_WANTED: Mapping[str, tuple[tuple[type, ...], str]] = {
    "str": _TEXT,
    "path": _TEXT,
    "int": ((int,), "must be a whole number, without quotes"),
    "float": ((int, float), "must be a number, without quotes"),
    "bool": ((bool,), "must be true or false, without quotes"),
    "list": ((list,), "must be a list: write [ ... ]"),
    "dict": ((dict,), "must be a dictionary: write {KEY: VALUE}"),
}


def problems(name: str, option: Option, kinds: Kinds, value: object) -> list[str]:
    """All that is wrong with the value of a role's variable; an empty list when it is right."""
    if kinds.get(name) in HANDED_OVER:
        return [f"{name} is handed over by the roles: leave it out."] if kinds[name] == "of the roles" else []
    found = _problems(name, name, option, kinds, _told_by_command_line(option, value))
    return [sentence if sentence.endswith("?") else f"{sentence}." for sentence in found]


def _told_by_command_line(option: Option, value: object) -> object:
    """-e NAME=8 gives text where a number is meant, and so does 1e-3 in YAML."""
    kind = option.get("type")
    if not isinstance(value, str):
        return value
    if kind == "int" and re.fullmatch(r"0|-?[1-9][0-9]{0,17}", value):
        return int(value)
    if kind == "float" and re.fullmatch(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][+-]?[0-9]{1,2})?", value):
        return float(value)
    return value


def _problems(where: str, path: str, option: Option, kinds: Kinds, value: object) -> Iterator[str]:
    """Sentences without their end. `where` names the value (users[0].name), `path` its option (users.name)."""
    kind = option.get("type", "str")
    if wrong := _wrong_type(kind, value) or _wrong_text(kinds.get(path, ""), value) or _wrong_choice(option, value):
        typed = f""" (on the command line: -e '{{"{path}": true}}')""" if kind == "bool" and where == path else ""
        yield _sentence(where, option, value, wrong + typed)
        return
    inner = list(_inner_problems(where, path, option, kinds, value))
    yield from inner
    if not inner:
        yield from _wrong_kind(where, path, option, kinds, value)


def _wrong_type(kind: str, value: object) -> str:
    wanted, remedy = _WANTED[kind]
    if isinstance(value, wanted) and not (isinstance(value, bool) and bool not in wanted):
        return ""
    found = "empty" if value is None else next((noun for kind, noun in _NOUNS.items() if isinstance(value, kind)), "")
    if wanted == (str,) and isinstance(value, list | dict):
        remedy = 'must be text: write "..."'
    return f"is {found or type(value).__name__} and {remedy}"


def _wrong_text(kind: str, value: object) -> str:
    """What no file would hold as it stands."""
    if not isinstance(value, str) or kind == "rule":
        return ""
    allowed = "\n" if kind.startswith("banner") else ""
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") and sign not in allowed for sign in value):
        return "has a line break or another control character: take it out"
    return ""


def _wrong_choice(option: Option, value: object) -> str:
    choices = option.get("choices")
    values = value if isinstance(value, list) else [value]
    if not choices or all(found in choices for found in values):
        return ""
    return f"must be one of {', '.join(map(str, choices))}"


def _inner_problems(where: str, path: str, option: Option, kinds: Kinds, value: object) -> Iterator[str]:
    """What is wrong with the elements of a list, or with the keys of a dictionary that has options."""
    options = option.get("options")
    if isinstance(value, list) and "elements" in option:
        element = {"type": option["elements"], "options": options, "no_log": option.get("no_log", False)}
        for number, found in enumerate(value):
            yield from _problems(f"{where}[{number}]", path, element, {**kinds, path: _of_elements(kinds, path)}, found)
    elif isinstance(value, dict) and options:
        yield from _key_problems(where, path, options, kinds, value)


def _of_elements(kinds: Kinds, path: str) -> str:
    """The kind of a list's elements: that of the list, unless a reader takes all of it."""
    kind = kinds.get(path, "any").removeprefix("some ")
    return "any" if ".toml " in kind else kind


def _key_problems(
    where: str, path: str, options: Mapping[str, Option], kinds: Kinds, value: Mapping[str, Any]
) -> Iterator[str]:
    for key in value:
        if key not in options:
            close = difflib.get_close_matches(str(key), list(options), n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(options)}"
            yield f"{where}.{key} is not known; {hint}"
    for key, option in options.items():
        if key in value:
            yield from _problems(f"{where}.{key}", f"{path}.{key}", option or {}, kinds, value[key])
        elif option.get("required"):
            yield f"{where} must have {key}"


def _wrong_kind(where: str, path: str, option: Option, kinds: Kinds, value: object) -> Iterator[str]:
    kind = kinds.get(path, "any")
    if isinstance(value, list) and ".toml " not in kind:
        if kind.startswith("some ") and not value:
            yield _sentence(where, option, value, "must not be empty")
        return
    if kind == "statsd.toml":
        yield from settings.problems(where, value, kinds, alone=path.endswith("_settings"))
        return
    try:
        reader(kind, float if option.get("type") == "float" else int)(value)
    except ValueError as error:
        yield _sentence(where, option, value, str(error))


def _sentence(where: str, option: Option, value: object, wrong: str) -> str:
    if option.get("no_log"):
        return f"{where} {wrong}"
    shown = repr(_plain(value))
    return f"{where} {shown if len(shown) <= 80 else shown[:77] + '...'}: {wrong}"


def _plain(value: object) -> object:
    """A value without Ansible's own subclasses, whose names repr would show."""
    if isinstance(value, Mapping):
        return {_plain(key): _plain(found) for key, found in value.items()}
    if isinstance(value, list):
        return [_plain(found) for found in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
